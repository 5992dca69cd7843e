// Runs in an isolated world of every document: it shares the page's elements and none of its
// scripts, so a page can neither see nor change what happens here. Properties are read through
// prototypes, because <input name="id"> makes form.id an element.
(() => {
  'use strict';
  if (globalThis.postern) return;

  const getter = (prototype, name) => {
    const get = Object.getOwnPropertyDescriptor(prototype, name).get;
    return (element) => get.call(element);
  };
  const localName = getter(Element.prototype, 'localName');
  const openRoot = getter(Element.prototype, 'shadowRoot');
  const shadowHost = getter(ShadowRoot.prototype, 'host');
  const parentNode = getter(Node.prototype, 'parentNode');
  const textContent = getter(Node.prototype, 'textContent');
  const ownerDocument = getter(Node.prototype, 'ownerDocument');
  const nodeType = getter(Node.prototype, 'nodeType');
  const innerText = getter(HTMLElement.prototype, 'innerText');
  const contentDocument = getter(HTMLIFrameElement.prototype, 'contentDocument');
  const defaultView = getter(Document.prototype, 'defaultView');
  const body = getter(Document.prototype, 'body');
  const readyState = getter(Document.prototype, 'readyState');
  const formElements = getter(HTMLFormElement.prototype, 'elements');
  const inputValue = getter(HTMLInputElement.prototype, 'value');
  const inputType = getter(HTMLInputElement.prototype, 'type');
  const inputForm = getter(HTMLInputElement.prototype, 'form');
  const buttonForm = getter(HTMLButtonElement.prototype, 'form');
  const buttonType = getter(HTMLButtonElement.prototype, 'type');
  const inputLabels = getter(HTMLInputElement.prototype, 'labels');
  const setInputValue = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
  const attribute = (element, name) => Element.prototype.getAttribute.call(element, name) || '';
  const has = (element, name) => Element.prototype.hasAttribute.call(element, name);
  const matches = (element, selector) => Element.prototype.matches.call(element, selector);
  const closest = (element, selector) => Element.prototype.closest.call(element, selector);
  const rectangle = (element) => Element.prototype.getBoundingClientRect.call(element);
  const all = (root, selector) => {
    const prototype = root.nodeType === 9 ? Document.prototype : root.nodeType === 11 ? DocumentFragment.prototype : Element.prototype;
    return Array.from(prototype.querySelectorAll.call(root, selector));
  };

  const words = {
    username: /user|login|log.?in.?name|e-?mail|account|member|benutzer|anmeldename|kennung|identifiant|utilisateur|courriel|usuario|correo|usu[aá]rio|conta\b|ユーザ|メール|アカウント|ログイン/i,
    password: /passwor|passwd|passphrase|\bpwd|pass\d?\b|^pass|kennwort|passwort|mot.de.passe|motdepasse|contrase|clave|senha|palavra.passe|パスワード|暗証/i,
    // what a password is called, or hinted at with, is none
    about: /name\b|\blabel|\btitle|descri|\bhint|reminder|question|bezeichnung|hinweis|erinnerung|frage\b|\bnom\b|indice|rappel|\bnombre|\bpista|recordatorio|pregunta|\bnome\b|\bdica|lembrete|名前|名称|ヒント|質問/i,
    current: /current|\bold|old.?pass|_old|existing|present.pass|aktuell|derzeit|bisherig|\balte[sn]?\b|actuel|ancien|actual\b|antigu|vigente|atual|antiga|現在|旧|古い|今の/i,
    fresh: /new|\bneue?[sn]?\b|nouveau|nueva|\bnova\b|新し|新規|新パス|choose|pass(word|wd)?_?1\b/i,
    confirm: /confirm|again|repeat|re-?type|re-?enter|once.(more|again)|verif|passchk|bestätig|wiederhol|erneut|nochmal|répét|resaisi|(à|de).nouveau|repet|repita|novamente|otra.vez|確認|再入力|もう一度|pass(word|wd)?_?2\b/i,
    code: /one.?time|\botp\b|totp|2fa|two.?factor|twofa|\bmfa\b|(verification|security|authenticat\w+|access).code|passcode|einmal|(bestätigungs|sicherheits)code|code.de.(vérification|sécurité)|c[oó]digo.de.(verifica|segur)|認証コード|確認コード|ワンタイム/i,
    captcha: /captcha|(letters|characters).(of|in|from|you)|not.a.robot|zeichen.(im|aus).*bild|caract[èe]res.de.l.image|画像.{0,8}文字/i,
    danger: /delete|remove|(close|cancel).(my.|the.|your.)?account|deactivat|terminate|unsubscribe|löschen|deaktivier|supprim|désactiv|clôtur|eliminar|borrar|desactivar|excluir|apagar|desativar|encerrar.conta|削除|退会|無効/i,
    idle: /cancel|reset|show|hide|generat|reveal|forgot|\bback\b|set.new|abbrech|anzeigen|zurück|annuler|afficher|retour|cancelar|mostrar|volver|voltar|キャンセル|戻る|表示/i,
    other: /(with|mit|avec|con|com).(google|microsoft|apple|github|facebook|sso|saml|okta|passkey)|passkey|register|sign.?up|create.(an.)?account|registrier|inscri|registr|cadastr|新規登録/i,
    send: /sign.?in|log.?in|log.?on|submit|continue|next|save|update|change|apply|confirm|set|ok\b|anmeld|einlogg|weiter|speicher|änder|aktualis|connexion|connecter|valider|continuer|enregistr|modifier|changer|entrar|iniciar|acceder|continuar|siguiente|guardar|cambiar|aceptar|salvar|alterar|mudar|avançar|ログイン|次へ|送信|保存|変更|更新/i,
    reveal: /(set|new|change|choose|create|update|edit|reset|ändern|neues?|festlegen|changer|modifier|nouveau|définir|cambiar|nueva|establecer|alterar|nova|mudar|definir|変更|新し|設定).{0,24}(password|kennwort|passwort|mot de passe|contraseña|senha|palavra-passe|パスワード)|(password|kennwort|passwort|mot de passe|contraseña|senha|パスワード).{0,12}(set|new|change|ändern|festlegen|を?変更|を?設定)|generate-pw/i,
    out: /log.?(out|off)\b|sign.?(out|off)\b|abmelden|ausloggen|d[ée]connexion|se d[ée]connecter|cerrar sesi[oó]n|terminar sess[aã]o|encerrar sess[aã]o|^sair$|^salir$|ログアウト|サインアウト/i,
    factor: /two.?(factor|step)|2.?fa\b|2.?step|\bmfa\b|multi.?factor|authenticator|one.?time.(code|password)s?|\btotp\b|(zwei|mehr|2).?(faktor|stufig)|double.authentification|deux.(facteurs|étapes)|dos.(factores|pasos)|(dois|duas).(fatores|etapas)|(二|2|多)(要素|段階)/i,
    backup: /back.?up|recover|scratch|emergency|rescue|ersatz|wiederherstell|notfall|secours|récupér|respaldo|recupera|emergencia|reserva|emergência|バックアップ|リカバリ|回復|予備/i,
    factorOff: /disable|turn.?off|remove|delet|deactivat|backup|recover|scratch|deaktivier|abschalten|entfern|désactiv|supprim|desactiv|quitar|desativ|remover|無効|解除|削除/i,
    begin: /enable|activate|set.?up|turn.?on|\badd\b|configure|continue|next|get.started|aktivier|einrichten|einschalten|weiter|activer|configurer|continuer|activar|configurar|continuar|ativar|有効|設定|次へ|続行/i,
    account: /my.account|profile|security|account.settings|settings|preferences|mein.konto|profil|sicherheit|einstellungen|mon.compte|sécurité|param[èe]tres|mi.cuenta|perfil|seguridad|ajustes|minha.conta|segurança|configurações|アカウント|プロフィール|セキュリティ|設定/i,
    forgot: /forgot(ten)?\b.{0,16}pass|forgot\b(?!.{0,12}(user|login.?name|e-?mail))|(lost|reset|recover|remind|retrieve|new|resend).{0,16}pass|pass(word|wd)?.{0,12}(lost|forgotten|reset|recover|remind)|(can.?t|cannot|trouble).(sign|log|access)|vergessen|(passwor[dt]|kennwort).{0,24}(zurücksetz|anforder|zusend)|oublié|perdu|réinitialis|mot de passe.{0,16}perdu|olvid|(recuper|restablec).{0,24}contrase|contrase.{0,24}(recuper|restablec)|esquec|(recuper|redefin).{0,24}senha|senha.{0,24}(recuper|redefin)|パスワード.{0,12}(忘れ|再設定|再発行|リセット)|忘れ/i,
    forgotAddress: /(lost|forgot(ten)?|reset|resend|recover|remind(er)?|vergessen|oubli|olvid|recuper|esquec)[-_.\/=?]{0,2}(your|my)?[-_]?(pass|pwd?\b|account|kennwort|contrase|senha|mot)|(pass(word|wd)?|pwd|account)[-_.\/=?]{0,2}(lost|forgot(ten)?|reset|recover|remind|new)|action=(lostpassword|forgot)|\/forgot\b/i,
    mail: /e-?mail|courriel|correo|メール/i,
    named: /user|login|name|account|benutzer|konto|kennung|utilisateur|identifiant|usuario|cuenta|usu[aá]rio|conta\b|ユーザ|アカウント/i,
    search: /search|such|recherch|busca|busqu|pesquis|検索/i,
    close: /^[^\p{L}\p{N}]*$|^x$|\bclose|dismiss|\bhide\b|got.it|^ok\b|schließ|ausblend|verstanden|fermer|masquer|cerrar|ocultar|entendido|fechar|閉じ|非表示/iu,
    outAddress: /[\/?&=._-](log|sign)[._-]?(out|off)\b/i,
  };

  // Elements get a number that stays with them as long as their document lives.
  const numbers = new WeakMap();
  const elements = [];
  const number = (element) => {
    if (!numbers.has(element)) {
      numbers.set(element, elements.length);
      elements.push(element);
    }
    return numbers.get(element);
  };

  // Closed shadow roots are known once the browser has disclosed them, see shadow.go.
  const closedRoots = new WeakMap();
  const shadowRoot = (element) => openRoot(element) || closedRoots.get(element) || null;
  const disclose = (...found) => {
    for (const root of found) closedRoots.set(shadowHost(root), root);
    return true;
  };

  // roots lists the document, its shadow roots and its same-origin frames, with what is in them.
  const roots = (from) => {
    const found = [from || document];
    for (let i = 0; i < found.length; i++) {
      for (const element of all(found[i], '*')) {
        const shadow = shadowRoot(element);
        if (shadow) found.push(shadow);
        if (localName(element) === 'iframe') {
          try {
            const inner = contentDocument(element);
            if (inner) found.push(inner);
          } catch { /* of another origin */ }
        }
      }
    }
    return found;
  };
  const everywhere = (selector, among) => (among || roots()).flatMap((root) => all(root, selector));

  // find follows a selector of the settings; "a >>> b" steps into a's shadow root or frame.
  const find = (selector) => {
    let scope = roots();
    const steps = selector.split('>>>').map((step) => step.trim());
    for (let i = 0; i < steps.length; i++) {
      const hits = scope.flatMap((root) => all(root, steps[i]));
      if (!hits.length) return null;
      if (i === steps.length - 1) return hits.find(visible) || hits[0];
      scope = hits.map((hit) => shadowRoot(hit) || (localName(hit) === 'iframe' && contentDocument(hit)) || hit);
    }
    return null;
  };

  const visible = (element) => {
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
    const box = rectangle(element);
    const view = defaultView(ownerDocument(element));
    return box.width > 1 && box.height > 1 && box.right + view.scrollX > 0 && box.bottom + view.scrollY > 0;
  };
  const enabled = (element) => !matches(element, ':disabled') && attribute(element, 'aria-disabled') !== 'true';
  const words_ = (text, limit) => {
    text = String(text || '').replace(/\s+/g, ' ').trim();
    // Cut between words, so that no half of a secret is left for the redaction to miss.
    return text.length <= limit ? text : text.slice(0, limit).replace(/\S*$/, '').trim();
  };
  const readable = (element, limit) => {
    const clone = element instanceof HTMLElement ? innerText(element) : textContent(element);
    return words_(clone, limit);
  };
  const byIDs = (element, name) => attribute(element, name).split(/\s+/).filter(Boolean)
    .map((id) => all(element.getRootNode(), '#' + CSS.escape(id))[0]).filter(Boolean).map((named) => readable(named, 120)).join(' ');

  const labelOf = (element) => {
    const texts = [attribute(element, 'aria-label'), byIDs(element, 'aria-labelledby')];
    const labels = localName(element) === 'input' && inputLabels(element);
    for (const label of labels || []) texts.push(readable(label, 120));
    if (!texts.some(Boolean)) {
      const cell = closest(element, 'td,dd');
      const before = cell ? cell.previousElementSibling : element.previousElementSibling;
      if (before && /^(th|td|dt|label|span|b|strong)$/.test(localName(before))) texts.push(readable(before, 120));
    }
    texts.push(attribute(element, 'placeholder'), attribute(element, 'title'));
    return words_(texts.join(' '), 200);
  };
  const buttonLabel = (element) => words_([
    localName(element) === 'input' ? inputValue(element) : readable(element, 80), attribute(element, 'aria-label'), attribute(element, 'title'), attribute(element, 'alt'),
  ].join(' '), 80);
  const nameOf = (element) => words_(attribute(element, 'name') || attribute(element, 'id'), 80);

  // limits are what a field itself says of what goes into it.
  const limits = (element) => {
    const count = (name) => { const given = Number(attribute(element, name)); return Number.isInteger(given) && given > 0 && given < 1e6 ? given : 0; };
    return { limit: count('maxlength'), least: count('minlength'), pattern: attribute(element, 'pattern').slice(0, 2000), rules: attribute(element, 'passwordrules').slice(0, 2000) };
  };

  // kindOf says what an input is for and which evidence says so. "password" is one whose part only
  // its place can tell.
  const kindOf = (element) => {
    const type = inputType(element);
    if (/^(hidden|submit|button|image|reset|checkbox|radio|file|color|range|date|datetime-local|month|week|time)$/.test(type)) return null;
    const tokens = attribute(element, 'autocomplete').toLowerCase().split(/\s+/);
    const label = labelOf(element);
    const named = attribute(element, 'name') + ' ' + attribute(element, 'id');
    const part = (text) => {
      if (words.current.test(text)) return 'current';
      if (words.confirm.test(text)) return 'confirm';
      if (words.fresh.test(text)) return 'new';
      return '';
    };
    if (tokens.includes('one-time-code')) return { kind: 'code', evidence: 'autocomplete' };
    if (tokens.includes('current-password')) return { kind: 'current', evidence: 'autocomplete' };
    if (tokens.includes('new-password')) {
      // Some pages say new-password of every password field.
      const said = part(label) || part(named);
      return { kind: said === 'current' ? 'current' : said === 'confirm' ? 'confirm' : 'new', evidence: 'autocomplete' };
    }
    if (words.captcha.test(label) || words.captcha.test(named)) return { kind: 'captcha', evidence: 'label' };
    const secret = type === 'password';
    if (words.code.test(label) || words.code.test(named)) return { kind: 'code', evidence: 'label' };
    if (secret || (type === 'text' && (words.password.test(label) || /pass(word|wd)?\d?$/i.test(attribute(element, 'name'))) && !words.username.test(label) && !words.about.test(label))) {
      const byLabel = part(label);
      if (byLabel) return { kind: byLabel, evidence: 'label' };
      const byName = part(named);
      if (byName) return { kind: byName, evidence: 'name' };
      return secret ? { kind: 'password', evidence: 'type' } : null;
    }
    if (tokens.includes('username') || (tokens.includes('email') && type !== 'search')) return { kind: 'username', evidence: 'autocomplete' };
    if (/^(text|email|tel)$/.test(type)) {
      if (words.username.test(label)) return { kind: 'username', evidence: 'label' };
      if (words.username.test(named)) return { kind: 'username', evidence: 'name' };
      return { kind: 'text', evidence: 'type' };
    }
    return null;
  };

  const groupOf = (element) => {
    const form = inputForm(element);
    if (form) return form;
    return closest(element, 'dialog,[role=dialog],fieldset,section,main') || body(ownerDocument(element)) || element.getRootNode();
  };
  const inGroup = (group, selector) => (group instanceof Element && localName(group) === 'form')
    ? Array.from(formElements(group)).concat(all(group, 'input[type=image],[role=button]')).filter((e, i, list) => matches(e, selector) && list.indexOf(e) === i)
    : all(group, selector);

  const buttonSelector = 'button,input[type=submit],input[type=image],input[type=button],[role=button]';
  const submitOf = (group) => {
    let best = null;
    for (const element of inGroup(group, buttonSelector)) {
      const label = buttonLabel(element);
      if (!visible(element) || words.danger.test(label)) continue;
      const type = localName(element) === 'input' ? inputType(element) : localName(element) === 'button' ? buttonType(element) : 'button';
      if (type === 'reset') continue;
      let score = type === 'submit' ? 4 : type === 'image' ? 3 : 0;
      if (words.send.test(label)) score += 3;
      if (words.idle.test(label) && type !== 'submit') score -= 6;
      if (words.other.test(label)) score -= 5;
      if (!best || score > best.score) best = { element, label, score };
    }
    return best;
  };
  const dangerous = (group) => {
    const heading = all(group, 'legend,h1,h2,h3,h4')[0];
    const buttons = inGroup(group, buttonSelector).filter(visible).map(buttonLabel).filter(Boolean);
    return (heading && words.danger.test(readable(heading, 80))) || (buttons.length > 0 && buttons.every((label) => words.danger.test(label)));
  };

  // place gives the password fields that have no evidence of their own the part their place implies.
  const place = (fields) => {
    const open = fields.filter((field) => field.kind === 'password');
    const known = (kind) => fields.some((field) => field.kind === kind);
    let parts = [];
    if (!known('current') && !known('new') && !known('confirm')) {
      parts = open.length === 1 ? ['current'] : open.length === 2 ? ['new', 'confirm'] : ['current', 'new', 'confirm'];
    } else {
      if (!known('new')) parts.push('new');
      if (!known('confirm')) parts.push('confirm');
      if (!known('current')) parts.push('current');
      // A lone field beside "new" and "confirm" asks for the current password; one beside "current" is new.
      if (known('new') && known('confirm')) parts = ['current'];
    }
    open.forEach((field, i) => Object.assign(field, { kind: parts[i] || 'confirm', evidence: 'position' }));
    // The second of two fields that both say "new" is the repetition.
    let fresh = 0;
    for (const field of fields) if (field.kind === 'new' && ++fresh === 2) field.kind = 'confirm';
    // One that is to be confirmed by itself is the current one.
    const asked = fields.filter((field) => /^(current|new|confirm)$/.test(field.kind));
    if (asked.length === 1 && asked[0].kind === 'confirm') asked[0].kind = 'current';
  };

  const forms = (among) => {
    const groups = new Map();
    for (const element of everywhere('input', among)) {
      const said = kindOf(element);
      if (!said) continue;
      const group = groupOf(element);
      if (!groups.has(group)) groups.set(group, { fields: [], hidden: [] });
      const shown = visible(element) && enabled(element) && !has(element, 'readonly');
      const field = { ref: number(element), name: nameOf(element), type: inputType(element), ...limits(element), ...said };
      if (shown) groups.get(group).fields.push(field);
      else if (said.kind === 'new' || said.kind === 'confirm') groups.get(group).hidden.push(field.name);
    }
    const found = [];
    for (const [group, { fields, hidden }] of groups) {
      place(fields);
      const count = (kind) => fields.filter((field) => field.kind === kind).length;
      if (count('current') && !count('username')) {
        // The text input right before a password is the username, whatever it is called.
        const at = fields.findIndex((field) => field.kind === 'current');
        for (let i = at - 1; i >= 0 && !count('new'); i--) if (fields[i].kind === 'text') { fields[i].kind = 'username'; fields[i].evidence = 'position'; break; }
      }
      const submit = submitOf(group);
      let kind = 'other';
      if (dangerous(group)) kind = 'danger';
      else if (count('new')) kind = 'change';
      else if (count('code') && !count('current')) kind = 'code';
      else if (count('current') === 1) kind = count('username') ? 'sign-in' : 'password';
      else if (count('username') === 1 && submit && fields.some((f) => f.kind === 'username' && (f.evidence === 'autocomplete' || words.send.test(submit.label)))) kind = 'username';
      if (kind === 'other' && !count('captcha')) continue;
      found.push({
        kind, hidden, captcha: count('captcha') > 0, fields: fields.filter((field) => field.kind !== 'text'), others: fields.filter((field) => field.kind === 'text'),
        submit: submit ? { ref: number(submit.element), label: submit.label } : null,
      });
    }
    return found;
  };

  // given builds the form that the settings name, field by field.
  const given = (kind, selectors) => {
    const fields = [];
    for (const part of ['username', 'current', 'new', 'confirm']) {
      if (!selectors[part]) continue;
      const element = find(selectors[part]);
      if (!element || !visible(element)) { if (part === 'confirm' || part === 'username') continue; return null; }
      fields.push({ ref: number(element), name: nameOf(element), type: inputType(element), ...limits(element), kind: part, evidence: 'setting' });
    }
    if (!fields.length) return null;
    const group = groupOf(elements[fields[0].ref]);
    const chosen = selectors.submit ? find(selectors.submit) : null;
    const submit = chosen ? { element: chosen, label: buttonLabel(chosen) } : selectors.submit ? null : submitOf(group);
    return { kind, fields, hidden: [], captcha: false, submit: submit ? { ref: number(submit.element), label: submit.label } : null };
  };

  // Some applications announce good news as loudly as bad.
  const calm = '.success,.alert-success,.notice-success,.flash.notice,.flash-notice,.mw-message-box-success,.alert-info';
  const loud = `:not(${calm},:has(${calm}))`;
  const errorSelector = `[role=alert]${loud},` + '.error,.errors,.errornote,.alert-danger,.alert-error,.alert-warning,.flash.error,.flash-error,#login_error,.notice-error,.mw-message-box-error,.invalid-feedback,.field-error,.error-message,.errormessage,.form-error,.validation-summary-errors,.errorlist,.has-error';
  const noticeSelector = '[role=status],.success,.alert-success,.notice-success,.updated,.flash.notice,.flash-notice,.notice,.mw-message-box-success,.alert-info,.info';
  // A live region with fields or buttons of its own is a part of the page that changes, as WordPress' list of sessions, and
  // not a message; a button that only closes it makes it none the less one.
  const liveSelector = `[aria-live=assertive]${loud}:not(${errorSelector})`;
  const speaks = (element) => all(element, 'input,select,textarea,' + buttonSelector)
    .every((inside) => !visible(inside) || (matches(inside, buttonSelector) && words.close.test(buttonLabel(inside))));
  const told = (elements) => [...new Set(elements.filter(visible).map((e) => readable(e, 400)).filter(Boolean))].slice(0, 6);
  const complaints = (among) => told(everywhere(errorSelector + ',' + liveSelector, among).filter((e) => !matches(e, liveSelector) || speaks(e)));
  const notices = (among) => told(everywhere(noticeSelector, among));

  const captchaFrame = 'iframe[src*="recaptcha/api2/anchor"]:not([src*="size=invisible"]),iframe[src*="recaptcha/enterprise/anchor"]:not([src*="size=invisible"]),iframe[src*="hcaptcha.com"],iframe[src*="challenges.cloudflare.com"],.g-recaptcha:not([data-size=invisible]),.h-captcha:not([data-size=invisible]),.cf-turnstile';

  let marked = false;

  const look = (options) => {
    const ready = readyState(document), scripts = all(document, 'script').length;
    const address = location.protocol + '//' + location.host + location.pathname;
    // A page that is still being built is not searched: it would be searched again anyway.
    if ((ready === 'loading' && !options.half) || (ready === 'interactive' && scripts && !options.early)) {
      return { ready, same: marked, scripts, address, size: 0, forms: [], errors: [], notices: [], lines: [], reveal: [], links: [], present: [] };
    }
    const among = roots();
    const found = forms(among);
    if (options.change && (options.change.new)) { const form = given('change', options.change); if (form) found.unshift(form); }
    if (options.signIn && (options.signIn.current || options.signIn.username)) {
      const form = given(options.signIn.current && find(options.signIn.current) ? 'sign-in' : 'username', options.signIn);
      if (form) found.unshift(form);
    }
    const out = everywhere('a[href],button,input[type=submit],form[action],[role=menuitem],[role=button]', among).some((element) => {
      const address = localName(element) === 'a' ? attribute(element, 'href') : localName(element) === 'form' ? attribute(element, 'action') : '';
      if (words.outAddress.test(address)) return true;
      return localName(element) !== 'form' && words.out.test(words_(localName(element) === 'input' ? inputValue(element) : textContent(element), 40));
    });
    const view = {
      ready, same: marked, scripts, address, size: everywhere('*', among).length, forms: found, out, captcha: found.some((form) => form.captcha) || everywhere(captchaFrame, among).some(visible),
      errors: complaints(among), notices: notices(among), lines: [], reveal: [], links: [],
      present: (options.texts || []).length ? matching(options.texts) : [],
    };
    if (options.lines && body(document)) {
      view.lines = String(innerText(body(document))).split('\n').map((line) => words_(line, 300)).filter(Boolean).slice(0, 300);
    }
    if (options.ways) {
      const buttons = everywhere('button,input[type=button],[role=button],[role=menuitem],a[href^="#"]', among).filter((e) => visible(e) && enabled(e));
      const says = (e) => buttonLabel(e) + ' ' + attribute(e, 'class') + ' ' + attribute(e, 'id');
      view.reveal = buttons.filter((e) => words.reveal.test(says(e)) && !words.danger.test(buttonLabel(e)) && !(localName(e) === 'button' && buttonForm(e) && buttonType(e) === 'submit')).map(number).slice(0, 3);
      view.links = everywhere('a[href]', among).filter((e) => words.reveal.test(words_(textContent(e), 60)) || /(change|edit|update)[-_\/]?(my[-_]?)?password|password[-_\/]?(change|edit)/i.test(attribute(e, 'href'))).map(number).slice(0, 3);
    }
    return view;
  };
  const matching = (texts) => {
    const page = words_(body(document) ? innerText(body(document)) : '', 100000).toLowerCase();
    return texts.filter((text) => page.includes(words_(text, 400).toLowerCase()));
  };

  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const holds = (entries) => entries.every(([ref, value]) => elements[ref] && elements[ref].isConnected && inputValue(elements[ref]) === value);
  const put = (element, value) => {
    HTMLElement.prototype.focus.call(element, { preventScroll: true });
    setInputValue.call(element, value);
    element.dispatchEvent(new InputEvent('input', { bubbles: true, composed: true, inputType: 'insertText' }));
    element.dispatchEvent(new Event('change', { bubbles: true }));
  };

  // type sets every field and waits until all of them have kept their value for a while; a page that
  // puts something else in is answered by setting the field again.
  const type = async (entries = [], quiet = 0, patience = 0) => {
    const deadline = performance.now() + patience;
    for (const [ref, value] of entries) if (elements[ref] && inputValue(elements[ref]) !== value) put(elements[ref], value);
    let since = performance.now();
    for (;;) {
      if (!holds(entries)) {
        if (performance.now() > deadline) return false;
        await wait(50);
        for (const [ref, value] of entries) {
          if (!elements[ref] || !elements[ref].isConnected) return false;
          if (inputValue(elements[ref]) !== value) put(elements[ref], value);
        }
        since = performance.now();
        if (!holds(entries)) continue;
      }
      if (performance.now() - since >= quiet) return true;
      await wait(25);
    }
  };

  // aim says where to press a button, after a last look at every field.
  const aim = (ref, entries = []) => {
    const element = elements[ref];
    if (!element || !element.isConnected) return { gone: true };
    if (!enabled(element)) return { disabled: true };
    Element.prototype.scrollIntoView.call(element, { block: 'center', inline: 'center', behavior: 'instant' });
    const box = rectangle(element);
    let x = box.x + box.width / 2, y = box.y + box.height / 2;
    const hit = element.getRootNode().elementFromPoint(x, y);
    const covered = !hit || !(hit === element || Node.prototype.contains.call(element, hit) || Node.prototype.contains.call(hit, element) && closest(element, 'label') === hit);
    for (let view = defaultView(ownerDocument(element)); view !== window && view.frameElement; view = view.parent) {
      const frame = rectangle(view.frameElement);
      x += frame.x; y += frame.y;
    }
    const kept = holds(entries);
    const form = kept && entries.length ? inputForm(elements[entries[0][0]]) : null;
    const valid = !form || has(form, 'novalidate') || HTMLFormElement.prototype.matches.call(form, ':valid');
    const ours = !valid && entries.some(([ref]) => !matches(elements[ref], ':valid'));
    if (kept && !covered) marked = true;
    watch(element);
    return { x, y, covered, kept, valid, ours };
  };

  // A style sheet that arrives between aim and the press moves the button away. watch sees what is
  // pressed; missed tells whether it was certainly something else.
  let pressed = { any: false, aimed: false };
  const watch = (element) => {
    const seen = pressed = { any: false, aimed: false };
    // From outside a closed shadow root nobody sees what was pressed in it.
    for (const at of new Set([defaultView(ownerDocument(element)), Node.prototype.getRootNode.call(element)])) {
      EventTarget.prototype.addEventListener.call(at, 'click', (event) => {
        seen.any = true;
        if (Event.prototype.composedPath.call(event).includes(element)) seen.aimed = true;
      }, { capture: true });
    }
  };
  const missed = () => pressed.any && !pressed.aimed;
  const press = (ref, entries = []) => {
    if (!holds(entries)) return false;
    marked = true;
    HTMLElement.prototype.click.call(elements[ref]);
    return true;
  };
  const send = (ref, entries = []) => {
    const form = inputForm(elements[ref]);
    if (!holds(entries)) return false;
    marked = true;
    if (form) HTMLFormElement.prototype.requestSubmit.call(form);
    else for (const name of ['keydown', 'keypress', 'keyup']) elements[ref].dispatchEvent(new KeyboardEvent(name, { key: 'Enter', code: 'Enter', keyCode: 13, which: 13, bubbles: true, composed: true }));
    return true;
  };
  const show = (selector) => {
    const element = find(selector);
    return element && visible(element) ? number(element) : -1;
  };
  const follow = (ref) => {
    marked = true;
    HTMLElement.prototype.click.call(elements[ref]);
    return true;
  };

  // cover makes everything unreadable that may hold a secret, for a screenshot. Neither a character
  // nor the number of characters is left to see.
  const cover = (secrets) => {
    const style = (element, name, value) => { if (element.style) element.style.setProperty(name, value, 'important'); };
    for (const root of roots()) {
      for (const element of all(root, 'input,textarea,[contenteditable]')) {
        if (localName(element) === 'input' && /^(submit|button|image|reset|checkbox|radio)$/.test(inputType(element))) continue;
        style(element, '-webkit-text-security', 'disc');
        style(element, 'color', 'transparent');
        style(element, '-webkit-text-fill-color', 'transparent');
        style(element, 'text-shadow', 'none');
        style(element, 'caret-color', 'transparent');
        style(element, 'field-sizing', 'fixed');
        style(element, 'background-image', 'none');
      }
      for (const frame of all(root, 'iframe,frame,object,embed')) {
        let inner = null;
        try { inner = localName(frame) === 'iframe' && contentDocument(frame); } catch { /* of another origin */ }
        if (!inner) style(frame, 'visibility', 'hidden');
      }
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const around = parentNode(node);
        if (around && secrets.some((secret) => textContent(around.nodeType === 1 ? around : node).includes(secret))) style(around, 'visibility', 'hidden');
      }
      for (const element of all(root, '*')) {
        for (const name of ['value', 'title', 'alt', 'placeholder']) {
          if (secrets.some((secret) => attribute(element, name).includes(secret))) style(element, 'visibility', 'hidden');
        }
      }
    }
    return true;
  };

  // What ways.js and steps.js need of the above.
  const inner = { all, attribute, body, buttonForm, buttonLabel, buttonSelector, buttonType, closest, dangerous, defaultView, elements, enabled, everywhere, groupOf, has, holds, innerText, inGroup, inputType, inputValue, kindOf, labelOf, localName, nameOf, nodeType, number, ownerDocument, parentNode, readable, rectangle, roots, shadowRoot, submitOf, textContent, visible, words, words_, mark: () => { marked = true; } };
  globalThis.postern = { look, disclose, type, aim, missed, press, send, show, follow, cover, inner };
})();
