// Everything here improves pages that work without it, except handing out a password.
"use strict";

const $ = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// Times: relative ones go on counting, clock times are in the reader's own zone.
function say(milliseconds) {
  const future = milliseconds < 0, s = Math.abs(milliseconds) / 1000;
  if (!future && s < 5) return "just now";
  const text = s < 60 ? Math.floor(s) + " s" : s < 3600 ? Math.floor(s / 60) + " min"
    : s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " days";
  return future ? "in " + text : text + " ago";
}
function times(from = document) {
  for (const time of all("time[data-when]", from)) time.textContent = say(Date.now() - Date.parse(time.dateTime));
  for (const time of all("time[data-clock]", from)) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleTimeString([], { hour12: false }) + "." + String(at.getMilliseconds()).padStart(3, "0");
  }
}

// Handing out a password: it is fetched when asked for, kept in this dialog alone, and forgotten.
const dialog = $("#hand");
let held = null, forgetting = 0;

function forget() {
  clearInterval(forgetting);
  held = null;
  for (const output of all("output", dialog)) output.textContent = "";
  $("[data-hand=fields]", dialog).hidden = true;
  $("[data-hand=clock]", dialog).textContent = "";
}
async function expose(button) {
  const part = (name) => $(`[data-hand=${name}]`, dialog);
  const shown = "show" in button.dataset;
  forget();
  $("#hand-title").textContent = button.dataset.name;
  part("note").textContent = "Asking…";
  part("problem").hidden = true;
  dialog.showModal();
  let answer, body;
  try {
    answer = await fetch(button.dataset.expose, { method: "POST", headers: { "X-Postern-Console": "1", Accept: "application/json" } });
    body = await answer.json();
  } catch {
    answer = { ok: false };
    body = { detail: "Postern cannot be reached." };
  }
  if (!dialog.open) return;
  if (answer.status === 401) {
    if (body.step_up) { part("note").textContent = "Taking you to your identity provider…"; location.assign(body.step_up); } else location.reload();
    return;
  }
  if (!answer.ok) {
    part("note").textContent = "";
    part("problem").textContent = body.detail || "That did not work.";
    part("problem").hidden = false;
    return;
  }
  held = body;
  part("note").textContent = shown ? "It is on record that you saw this password." : "It is on record that you used this account. Paste the password where you sign in.";
  part("username").textContent = body.username;
  part("password").textContent = shown ? body.password : "•".repeat(12);
  part("fields").hidden = false;
  $("[data-copy=password]", dialog).focus();
  let left = 60;
  const tick = () => {
    part("clock").textContent = `Forgotten here in ${left} s.`;
    if (left-- <= 0) dialog.close();
  };
  tick();
  forgetting = setInterval(tick, 1000);
}
if (dialog) {
  dialog.addEventListener("close", forget);
  dialog.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button || !held) return;
    try {
      await navigator.clipboard.writeText(held[button.dataset.copy]);
      button.textContent = "Copied";
    } catch {
      const output = $(`[data-hand=${button.dataset.copy}]`, dialog);
      output.textContent = held[button.dataset.copy];
      getSelection().selectAllChildren(output);
      button.textContent = "Press Ctrl C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-expose]");
  if (button) expose(button);
});

// A one-time code: shown as long as it is good.
let codeEnds = 0;
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-code]"), place = $("#one-time");
  if (!form || !place) return;
  event.preventDefault();
  clearInterval(codeEnds);
  const output = $("output", place), left = $("[data-code-left]", place);
  output.textContent = "";
  let answer, body;
  try {
    answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "X-Postern-Console": "1", Accept: "application/json" } });
    body = await answer.json();
  } catch {
    answer = { ok: false };
    body = { detail: "Postern cannot be reached." };
  }
  if (answer.status === 401) {
    if (body.step_up) location.assign(body.step_up); else location.reload();
    return;
  }
  place.hidden = false;
  if (!answer.ok) { left.textContent = body.detail || "That did not work."; return; }
  output.textContent = body.code;
  const ends = Date.now() + body.left;
  const tick = () => {
    const seconds = Math.ceil((ends - Date.now()) / 1000);
    if (seconds > 0) {
      left.textContent = `good for ${seconds} s.` + (body.spent ? " Postern has just signed in with it: the app takes the next one." : "");
      return;
    }
    clearInterval(codeEnds);
    output.textContent = "";
    left.textContent = "is over. Choose Code for the next one.";
  };
  tick();
  codeEnds = setInterval(tick, 500);
});

// Values to paste somewhere else.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-clip]");
  if (!button) return;
  const value = document.getElementById(button.dataset.clip), said = button.innerHTML;
  try {
    await navigator.clipboard.writeText(value.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(value);
    button.textContent = "Press Ctrl C";
  }
  setTimeout(() => { button.innerHTML = said; }, 2000);
});

// Finding in a list: what is typed narrows what is on the page at once, and Enter looks everywhere.
const finder = $("[data-find]");
function find() {
  if (!finder?.dataset.filter) return;
  const words = finder.value === finder.defaultValue ? [] : finder.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const row of all(finder.dataset.filter)) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    if (!row.hidden) found++;
  }
  const none = $("[data-filter-none]");
  if (none) none.hidden = found > 0;
}
finder?.addEventListener("input", find);

// Keys: each row of a list is at its first link, so that Enter opens it.
const rows = () => all("main tbody tr, main .lines > li, main .list > li").filter((row) => !row.hidden && $("a", row));
function step(by) {
  const list = rows(), at = list.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? list[by > 0 ? 0 : list.length - 1] : list[at + by];
  if (next) { const link = $("a", next); link.focus(); link.scrollIntoView({ block: "nearest" }); }
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog[open]")) return;
  const inList = event.target.closest("main tbody tr, main .lines > li, main .list > li") !== null;
  switch (event.key) {
    case "/": if (!finder) return; finder.focus(); finder.select(); break;
    case "?": if (!$("#keys")) return; $("#keys").togglePopover(); break;
    case "j": step(1); break;
    case "k": step(-1); break;
    case "ArrowDown": if (!inList) return; step(1); break;
    case "ArrowUp": if (!inList) return; step(-1); break;
    default: return;
  }
  event.preventDefault();
});

// Deciding about rows by key.
const deciding = $("#deciding");
if (deciding) {
  const rows = all("[data-row]", deciding), keys = $("[data-keys]");
  keys.hidden = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=radio]), textarea, select, summary, a, button")) return;
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const to = { ArrowDown: Math.min(at + 1, rows.length - 1), ArrowUp: Math.max(at - 1, 0) }[event.key];
    if (to !== undefined) { event.preventDefault(); rows[to].focus(); return; }
    const choice = at >= 0 && $(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`, rows[at]);
    if (!choice) return;
    event.preventDefault();
    choice.checked = true;
    if (event.key.toLowerCase() === "n") { const more = $("details", rows[at]); more.open = true; $("input[type=date]", more).focus(); return; }
    rows[Math.min(at + 1, rows.length - 1)].focus();
  });
}

function ready(from = document) {
  times(from);
  for (const button of all("[data-expose], [data-clip]", from)) button.hidden = false;
  find();
}

// A part of the page that changes by itself is asked for again, and replaced unless somebody is busy
// in it.
async function refresh(part) {
  clearTimeout(waits.get(part));
  let wait = Number(part.dataset.refresh);
  try {
    const busy = dialog?.open || part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, summary");
    if (document.visibilityState === "visible" && !busy) {
      const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-Postern-Background": "1" } });
      if (answer.redirected) { location.reload(); return; }
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
        if (fresh) {
          for (const kept of all("details[id][open]", part)) fresh.querySelector("#" + kept.id)?.replaceWith(kept);
          const open = all("details:not([id])", part).map((details) => details.open);
          const focus = document.activeElement && part.contains(document.activeElement) ? [...part.querySelectorAll("a, button")].indexOf(document.activeElement) : -1;
          part.replaceChildren(...fresh.childNodes);
          part.dataset.refresh = fresh.dataset.refresh;
          all("details:not([id])", part).forEach((details, i) => { details.open = open[i] || false; });
          if (focus >= 0) part.querySelectorAll("a, button")[focus]?.focus();
          ready(part);
          wait = Number(part.dataset.refresh);
        }
      } else if (answer.status === 401) { location.reload(); return; }
    }
  } catch { wait = 5000; }
  later(part, wait);
}
const waits = new Map();
function later(part, wait) {
  clearTimeout(waits.get(part));
  waits.set(part, setTimeout(refresh, wait, part));
}

// What is long is loaded once somebody wants to see it.
document.addEventListener("toggle", async (event) => {
  const details = event.target;
  if (!(details instanceof HTMLDetailsElement) || !details.open || !details.dataset.load) return;
  const address = details.dataset.load;
  delete details.dataset.load;
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (answer.redirected || answer.status === 401) { location.reload(); return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("request");
    if (!answer.ok || !fresh) return;
    fresh.removeAttribute("id");
    $("[data-loaded]", details).replaceChildren(...fresh.childNodes);
    times(details);
  } catch { details.dataset.load = address; }
}, true);

// What happens while somebody looks. Without a stream the page is loaded again now and then.
function listen(address, name, told) {
  const state = $("[data-live]"), text = $("[data-live-text]");
  const tell = (word, on) => { if (state) { state.hidden = false; state.classList.toggle("on", on); text.textContent = word; } };
  let failures = 0;
  const source = new EventSource(address);
  source.onopen = () => { failures = 0; tell("Live", true); };
  source.addEventListener(name, told);
  source.onerror = () => {
    tell("Reconnecting…", false);
    if (source.readyState === EventSource.CLOSED || ++failures > 5) {
      source.close();
      tell("Not live; loads again by itself", false);
      if (state) setTimeout(() => location.reload(), 15000);
    }
  };
  addEventListener("pagehide", () => source.close());
}
function follow(list) {
  listen(list.dataset.stream, "line", (event) => {
    const fresh = new DOMParser().parseFromString("<ol>" + event.data + "</ol>", "text/html").querySelector("li");
    if (!fresh || document.getElementById(fresh.id)) return;
    times(fresh);
    fresh.classList.add("fresh");
    list.prepend(fresh);
    $("#no-lines")?.remove();
    while (list.children.length > 500) list.lastElementChild.remove();
  });
}

// Rotations as they go on: a row is replaced where it stands, anything else is asked for again; and it is said.
function progress(part) {
  const around = part.closest("[data-refresh]");
  listen(part.dataset.progress, "rotation", (event) => {
    const fresh = new DOMParser().parseFromString("<table><tbody>" + event.data + "</tbody></table>", "text/html").querySelector("tr");
    if (!fresh) return;
    $("#said").textContent = fresh.dataset.said;
    const row = document.getElementById(fresh.id);
    if (!row) { refresh(around); return; }
    const focused = row.contains(document.activeElement);
    row.replaceWith(fresh);
    ready(fresh);
    if (focused) $("a", fresh).focus();
  });
}

ready();
$("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
setInterval(times, 10000);
for (const part of all("[data-refresh]")) later(part, Number(part.dataset.refresh));
for (const part of all("[data-progress]")) progress(part);
const stream = $("[data-stream]");
if (stream) follow(stream);
