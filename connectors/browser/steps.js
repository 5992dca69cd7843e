// Finds and handles what the steps of a recipe are about. Runs in the isolated world, after page.js.
(() => {
  'use strict';
  const outer = globalThis.postern;
  if (outer.locate) return;
  const { all, attribute, buttonLabel, closest, defaultView, elements, enabled, groupOf, holds, inGroup, inputType, kindOf, localName, mark, nameOf, nodeType, number, ownerDocument, parentNode, rectangle, roots, shadowRoot, textContent, visible, words, words_ } = outer.inner;
  delete outer.inner;

  // scope is the document of a frame, by the numbers of the frames on the way to it. An empty list arrives as undefined.
  const scope = (frame) => {
    let view = window;
    for (const at of frame || []) {
      view = view.frames[at];
      if (!view) return null;
    }
    try { return view.document; } catch { return null; } // of another origin
  };
  const under = (frame, host) => host < 0 ? scope(frame) : elements[host] && shadowRoot(elements[host]);

  const saying = (root, text) => {
    const says = (element) => !/^(script|style|noscript|template)$/.test(localName(element)) &&
      words_(localName(element) === 'input' ? (/^(submit|button|reset)$/.test(inputType(element)) ? attribute(element, 'value') : '') : textContent(element), 100000).includes(text);
    const hits = roots(root).flatMap((one) => all(one, '*')).filter(says);
    return hits.filter((hit) => !hits.some((other) => other !== hit && Node.prototype.contains.call(hit, other)));
  };
  const query = (root, selector) => {
    try {
      if (selector.startsWith('xpath/')) {
        const found = new XPathEvaluator().evaluate(selector.slice('xpath/'.length), root, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
        return Array.from({ length: found.snapshotLength }, (_, i) => found.snapshotItem(i)).filter((node) => nodeType(node) === 1);
      }
      if (selector.startsWith('pierce/')) return roots(root).flatMap((one) => all(one, selector.slice('pierce/'.length)));
      if (selector.startsWith('text/')) return saying(root, words_(selector.slice('text/'.length), 1000));
      return all(root, selector);
    } catch { return []; } // no selector, or none that a shadow root knows
  };

  // locate is the number of what one selector finds, below a host's shadow root if there is one. What one acts on must
  // be visible; a host need not be.
  const locate = (frame, host, selector, last) => {
    const root = under(frame, host);
    if (!root) return -1;
    const hits = query(root, selector);
    const hit = last ? hits.find(visible) : hits.find(shadowRoot);
    return hit ? number(hit) : -1;
  };
  // adopt does the same for what the browser found by its name, in the whole document.
  const below = (element, host) => {
    const rootOf = (one) => Node.prototype.getRootNode.call(one);
    for (let root = rootOf(element); nodeType(root) === 11; root = rootOf(root.host)) if (root.host === elements[host]) return true;
    return host < 0;
  };
  const adopt = (element, host, last) => nodeType(element) === 1 && below(element, host) && (last ? visible(element) : shadowRoot(element)) ? number(element) : -1;

  const describe = (ref) => {
    const element = elements[ref];
    const input = localName(element) === 'input';
    const group = input ? groupOf(element) : null;
    return {
      name: nameOf(element), type: input ? inputType(element) : localName(element), limit: Number(attribute(element, 'maxlength')) || 0,
      ready: enabled(element), danger: words.danger.test(buttonLabel(element)), label: buttonLabel(element),
      hidden: group ? inGroup(group, 'input').filter((one) => !visible(one) && ['new', 'confirm'].includes((kindOf(one) || {}).kind)).map(nameOf) : [],
    };
  };

  // write puts a text that is no secret into what is no input.
  const write = (ref, value) => {
    const element = elements[ref];
    const prototype = { textarea: HTMLTextAreaElement.prototype, select: HTMLSelectElement.prototype }[localName(element)];
    if (!prototype) return false;
    const own = Object.getOwnPropertyDescriptor(prototype, 'value');
    own.set.call(element, value);
    element.dispatchEvent(new InputEvent('input', { bubbles: true, composed: true }));
    element.dispatchEvent(new Event('change', { bubbles: true }));
    return own.get.call(element) === value;
  };
  const point = (ref) => {
    const element = elements[ref];
    Element.prototype.scrollIntoView.call(element, { block: 'center', inline: 'center', behavior: 'instant' });
    let box = rectangle(element), x = box.x + box.width / 2, y = box.y + box.height / 2;
    for (let view = defaultView(ownerDocument(element)); view !== window && view.frameElement; view = view.parent) {
      box = rectangle(view.frameElement);
      x += box.x; y += box.y;
    }
    return { x, y };
  };
  // ready puts the cursor where a key is to be pressed, if every field still has what was typed into it.
  const ready = (ref, entries = []) => {
    if (!holds(entries)) return false;
    HTMLElement.prototype.focus.call(elements[ref], { preventScroll: true });
    mark();
    return Node.prototype.getRootNode.call(elements[ref]).activeElement === elements[ref];
  };

  // selectors find elements again: by their ids, their names, their places. None is made of what is in a field.
  const plain = (text) => /^[A-Za-z][\w:.-]*$/.test(text);
  const selectors = (...refs) => refs.map(selectorsOf);
  const selectorsOf = (ref) => {
    const element = elements[ref];
    const own = (one) => {
      const id = attribute(one, 'id'), name = attribute(one, 'name'), tag = localName(one), found = [];
      const root = Node.prototype.getRootNode.call(one);
      if (plain(id) && all(root, '#' + CSS.escape(id)).length === 1) found.push('#' + CSS.escape(id));
      if (plain(name)) {
        const form = closest(one, 'form'), formID = form && attribute(form, 'id');
        const named = (plain(formID) ? '#' + CSS.escape(formID) + ' ' : '') + tag + '[name="' + name + '"]';
        if (all(root, named).length === 1) found.push(named);
      }
      const steps = [];
      for (let at = one; at && nodeType(at) === 1; at = parentNode(at)) {
        const above = parentNode(at), kin = above ? Array.from(above.children).filter((other) => localName(other) === localName(at)) : [];
        steps.unshift(localName(at) + (kin.length > 1 ? ':nth-of-type(' + (kin.indexOf(at) + 1) + ')' : ''));
      }
      found.push(steps.join(' > '));
      return found;
    };
    const hosts = [];
    for (let root = Node.prototype.getRootNode.call(element); nodeType(root) === 11; root = Node.prototype.getRootNode.call(root.host)) hosts.unshift(own(root.host)[0]);
    const frame = [];
    for (let view = defaultView(ownerDocument(element)); view !== window; view = view.parent) {
      let at = 0;
      while (at < view.parent.length && view.parent[at] !== view) at++;
      frame.unshift(at);
    }
    return { frame, selectors: own(element).map((one) => [...hosts, one]) };
  };

  // abroad is what a frame shows that the page around it does not reach into; null, if it does.
  const abroad = (options) => {
    try { if (window.parent.document) return null; } catch { /* of another site */ }
    return outer.look(options);
  };
  const element = (ref) => elements[ref];

  Object.assign(outer, { abroad, element, mark: () => { mark(); return true; }, selectors, scope, locate, adopt, describe, write, point, ready });
})();
