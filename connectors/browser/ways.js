// Finds second factors, backup codes, the form for a forgotten password, and the ways to them. Runs in the isolated world, after
// page.js.
(() => {
  'use strict';
  const outer = globalThis.postern;
  if (outer.factor) return;
  const { all, attribute, body, buttonForm, buttonLabel, buttonSelector, buttonType, closest, dangerous, defaultView, elements, enabled, everywhere, groupOf, has, innerText, inputType, inputValue, kindOf, labelOf, localName, mark, number, ownerDocument, parentNode, readable, rectangle, roots, submitOf, textContent, visible, words, words_ } = outer.inner;

  // factor looks for what one-time codes are made of: addresses, secrets spelt out, pictures that may show one; and for the
  // ways that lead there, the likeliest first.
  const factor = () => {
    const among = roots();
    const addresses = new Set(), texts = new Set();
    // More than one of either settles nothing, so a page cannot make us carry many.
    const enough = 16;
    const read = (text) => {
      text = String(text);
      if (addresses.size < enough && text.length < 1e5) {
        for (const [address] of text.matchAll(/otpauth:\/\/totp\/[^\s"'<>\\]{1,2000}/gi)) if (addresses.add(address).size >= enough) break;
      }
      const compact = text.trim();
      // One separator at least between groups: with none allowed, a long text without a match takes for ever.
      if (texts.size < enough && compact.length < 200 && /^[A-Z2-7]{4,}([ -][A-Z2-7]{2,})*=*$/i.test(compact) && compact.replace(/[ =-]/g, '').length >= 16 && /[2-7]/.test(compact)) texts.add(compact);
    };
    for (const root of among) {
      for (const element of all(root, '*')) {
        if (/^(script|style)$/.test(localName(element))) continue;
        for (const name of Element.prototype.getAttributeNames.call(element)) if (/otpauth/i.test(attribute(element, name))) read(attribute(element, name));
        if (localName(element) === 'input' && /^(text|hidden)$/.test(inputType(element))) read(inputValue(element));
        else if (!element.children.length && visible(element)) read(textContent(element));
      }
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const around = parentNode(node);
        if (!(around instanceof Element) || localName(around) !== 'script') read(textContent(node));
      }
    }
    const pictures = everywhere('img,canvas,svg', among).filter(visible).map((element) => {
      Element.prototype.scrollIntoView.call(element, { block: 'center', inline: 'center', behavior: 'instant' });
      const box = rectangle(element), view = defaultView(ownerDocument(element));
      return { x: box.x + view.scrollX, y: box.y + view.scrollY, width: box.width, height: box.height };
    }).filter((box) => box.width >= 70 && box.width < 1000 && box.width / box.height > 0.8 && box.width / box.height < 1.25).slice(0, 8);
    // What a button that only says "Enable" is about stands beside it.
    const beside = (element) => {
      for (let around = element.parentElement, i = 0; around && i < 4; around = around.parentElement, i++) {
        const text = readable(around, 1000);
        if (text.length > 400 || localName(around) === 'body') return false;
        if (words.factor.test(text)) return true;
      }
      return false;
    };
    const ways = everywhere('a[href],' + buttonSelector, among).filter((e) => visible(e) && enabled(e)).map((element) => {
      const label = localName(element) === 'a' ? words_(textContent(element) + ' ' + attribute(element, 'title'), 80) : buttonLabel(element);
      const address = attribute(element, 'href');
      let score = 0;
      if (words.factorOff.test(label) || words.danger.test(label) || words.out.test(label) || words.outAddress.test(address)) score = -1;
      else if (words.factor.test(label)) score = words.begin.test(label) ? 6 : 5;
      else if (words.begin.test(label) && beside(element)) score = 4;
      else if (/2fa|twofa|two.?factor|mfa|totp|otp/i.test(address)) score = 3;
      else if (words.account.test(label)) score = localName(element) === 'a' ? 1 : 0;
      return { ref: number(element), label, address, score };
    }).filter((way) => way.score > 0).sort((one, other) => other.score - one.score).slice(0, 8);
    return { addresses: [...addresses], texts: [...texts], pictures, ways };
  };

  // backup looks for a list of backup codes: several texts of one shape, on a page that has a word for them; and for the ways
  // that lead to one.
  const backup = () => {
    const among = roots();
    const page = body(document) ? String(innerText(body(document))) : '';
    const lists = new Map();
    const take = (text) => {
      text = text.replace(/^\s*\d{1,2}[.):]\s+/, '').trim();
      if (text.length < 6 || text.length > 40 || !/^[A-Za-z0-9]+([ -][A-Za-z0-9]+)*$/.test(text)) return;
      const shape = text.replace(/[A-Za-z0-9]/g, 'x');
      if (!lists.has(shape)) lists.set(shape, new Set());
      lists.get(shape).add(text);
    };
    if (words.backup.test(page)) {
      for (const line of page.split('\n')) for (const text of line.split(/\t|,| {2,}/)) take(text);
      for (const element of everywhere('li,td,code,pre,samp,kbd,span,div,p,textarea', among)) {
        if (localName(element) === 'textarea') for (const line of String(element.value).split(/\n|,/)) take(line);
        else if (!element.children.length && visible(element)) for (const text of textContent(element).split(/\n|,/)) take(text);
      }
    }
    const codes = [...lists.values()].map((list) => [...list])
      // Words look like it too: most codes have a digit, and where they have letters they are not all words.
      .filter((list) => list.length >= 4 && list.length <= 100 && list.filter((text) => /\d/.test(text)).length * 2 >= list.length && !list.every((text) => /^[\d -]*(19|20)\d\d[\d -]*$/.test(text)))
      .sort((one, other) => other.length - one.length)[0] || [];
    const ways = everywhere('a[href],' + buttonSelector, among).filter((e) => visible(e) && enabled(e)).map((element) => {
      const label = localName(element) === 'a' ? words_(textContent(element) + ' ' + attribute(element, 'title'), 80) : buttonLabel(element);
      const address = attribute(element, 'href');
      const off = words.danger.test(label) || words.out.test(label) || /disable|turn.?off|deactiv|deaktiv|désactiv|desactiv|desativ|無効|解除/i.test(label);
      return { ref: number(element), label, address, score: off ? -1 : (words.backup.test(label) ? 3 : 0) + (/(backup|recovery|scratch|rescue)[-_]?codes?/i.test(address) ? 2 : 0) };
    }).filter((way) => way.score > 0).sort((one, other) => other.score - one.score).slice(0, 6);
    return { codes, ways };
  };

  // forgotten looks for the form that asks whose password was forgotten, and for the ways to it. A page that was not come to
  // by such a way must say itself that its form is one.
  const forgotten = (asked) => {
    const among = roots();
    const groups = new Map();
    for (const element of everywhere('input', among)) {
      if (!visible(element) || !enabled(element) || has(element, 'readonly')) continue;
      const group = groupOf(element);
      if (!groups.has(group)) groups.set(group, { fields: [], closed: false, captcha: false });
      const one = groups.get(group);
      const said = kindOf(element), type = inputType(element), label = labelOf(element), named = attribute(element, 'name') + ' ' + attribute(element, 'id');
      if (type === 'password') one.closed = true;
      if (said && said.kind === 'captcha') one.captcha = true;
      if (!said || !/^(username|text)$/.test(said.kind) || !/^(text|email)$/.test(type)) continue;
      if (closest(element, '[role=search]') || words.search.test(named + ' ' + label) || /^(q|s)$/.test(attribute(element, 'name'))) continue;
      const mail = type === 'email' || (words.mail.test(label + ' ' + named) && !words.named.test(label || named));
      one.fields.push({ ref: number(element), mail, known: said.kind === 'username' });
    }
    const found = [];
    for (const [group, { fields, closed, captcha }] of groups) {
      const known = fields.filter((field) => field.known);
      const chosen = known.length ? known : fields.length === 1 ? fields : [];
      if (closed || !chosen.length || chosen.length > 2 || dangerous(group)) continue;
      const submit = submitOf(group);
      const heading = all(group, 'legend,h1,h2,h3,h4').map((e) => readable(e, 80)).join(' ');
      const says = words.forgot.test((submit ? submit.label : '') + ' ' + heading) || words.forgotAddress.test(attribute(group instanceof Element ? group : document.documentElement, 'action'));
      if (!asked && !says) continue;
      found.push({ score: (says ? 2 : 0) + (known.length ? 1 : 0), captcha, fields: chosen.map(({ ref, mail }) => ({ ref, mail })), submit: submit ? { ref: number(submit.element), label: submit.label } : null });
    }
    found.sort((one, other) => other.score - one.score);
    const ways = everywhere('a[href],button,input[type=button],[role=button]', among).filter((e) => visible(e) && enabled(e)).map((element) => {
      const link = localName(element) === 'a';
      const label = link ? words_(textContent(element) + ' ' + attribute(element, 'title') + ' ' + attribute(element, 'aria-label'), 120) : buttonLabel(element);
      const address = attribute(element, 'href');
      let score = 0;
      if (words.danger.test(label) || words.out.test(label) || /^(mailto|tel|javascript):/i.test(address)) score = -1;
      else if (!link && localName(element) === 'button' && buttonForm(element) && buttonType(element) !== 'button') score = -1;
      else score = (words.forgot.test(label) ? 3 : 0) + (words.forgotAddress.test(address) ? 2 : 0);
      return { ref: number(element), label, address, score };
    }).filter((way) => way.score > 0).sort((one, other) => other.score - one.score).slice(0, 6);
    return { forms: found.slice(0, 3).map(({ captcha, fields, submit }) => ({ captcha, fields, submit })), ways };
  };

  // menu is the button that opens a menu of the account's, by what it says of itself or by the account's name on it: some
  // applications keep the way out and the way to the new password in one, and make what is in it when it opens. Each is
  // offered until it is opened, and two in one document.
  const opened = [];
  const menu = (username) => {
    const whose = username.toLowerCase();
    const score = (element) => {
      const label = buttonLabel(element).toLowerCase();
      if (words.danger.test(label) || words.factorOff.test(label) || (localName(element) === 'button' && buttonForm(element))) return 0;
      if (label.startsWith(whose) && label.length < whose.length + 24) return 3;
      if (!/^(menu|true)$/.test(attribute(element, 'aria-haspopup')) && attribute(element, 'aria-expanded') !== 'false' && localName(element) !== 'summary') return 0;
      return label.includes(whose) ? 3 : words.account.test(label) ? 2 : words.named.test(label) ? 1 : 0;
    };
    if (!whose || opened.length >= 2) return -1;
    const best = everywhere('button,[role=button],summary').filter((e) => visible(e) && enabled(e) && !opened.includes(e)).map((element) => ({ element, score: score(element) }))
      .filter((one) => one.score > 0).sort((one, other) => other.score - one.score)[0];
    return best ? number(best.element) : -1;
  };
  const toggle = (element) => {
    mark();
    HTMLElement.prototype.click.call(element);
    return true;
  };
  const openMenu = (username) => {
    const ref = menu(username);
    if (ref < 0) return false;
    opened.push(elements[ref]);
    return toggle(elements[ref]);
  };
  const closeMenu = () => opened.length > 0 && opened[opened.length - 1].isConnected && toggle(opened.pop());

  Object.assign(outer, { backup, factor, forgotten, menu, openMenu, closeMenu });
})();
