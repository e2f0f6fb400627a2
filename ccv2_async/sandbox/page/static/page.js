// Keeps the page in step with the sandbox, sends its forms, and takes dropped files. Everything
// can also be read, and every form be sent, without it.
"use strict";

const main = document.getElementById("main");
const note = document.getElementById("note");
const link = document.getElementById("link");
let stream = null;
let asked = 0;
let timer = 0;

// --- The page as it is now ---------------------------------------------------------------------

// Changes what differs and keeps the rest, so that focus, open menus, and scrolling stay.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  if (old.hasAttribute("data-keep")) return;
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value && !(name === "open" && old.nodeName === "DETAILS"))
      old.setAttribute(name, value);
  const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const known = child.id && byId.get(child.id);
    if (known && known !== place) {
      old.insertBefore(known, place);
      morph(known, child);
    } else if (place && (known || !(place.id || child.id))) {
      const next = place.nextSibling;
      morph(place, child);
      place = next;
    } else {
      old.insertBefore(child, place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

async function refresh() {
  const mine = ++asked;
  const answer = await fetch(location.href, { cache: "no-store" });
  const text = await answer.text();
  if (mine !== asked) return; // a later one is on its way
  const fresh = new DOMParser().parseFromString(text, "text/html");
  document.title = fresh.title;
  for (const id of ["navigation", "quota", "main"])
    morph(document.getElementById(id), fresh.getElementById(id));
  ready();
}

// What works only with scripts.
function ready() {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
  for (const button of document.querySelectorAll("[data-filter] button")) button.hidden = true;
}

function listen() {
  stream = new EventSource("/page/events");
  stream.onopen = () => (link.textContent = "live");
  stream.onerror = () => (link.textContent = "reconnecting");
  stream.onmessage = () => refresh().catch(() => {});
}

// A browser has six connections to one server: pages that nobody sees give theirs back.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) stream.close();
  else listen();
});

// --- Forms -------------------------------------------------------------------------------------

function say(text, bad) {
  note.textContent = text;
  note.className = bad ? "note bad" : "note";
  note.hidden = false;
}

async function send(form, data) {
  form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: data,
    });
    const outcome = await answer.json();
    say(outcome.note ?? "The sandbox refused this.", outcome.bad ?? true);
    if (form.classList.contains("drop")) form.reset();
    await refresh();
  } catch {
    say("The sandbox does not answer.", true);
  }
  form.removeAttribute("aria-busy");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-act]")) {
    event.preventDefault();
    send(form, new FormData(form, event.submitter));
  } else if (form.matches("[data-filter]")) {
    event.preventDefault();
    filter(form);
  }
});

function filter(form) {
  const words = new URLSearchParams(new FormData(form));
  for (const [name, text] of [...words]) if (!text) words.delete(name);
  history.replaceState(null, "", words.size ? `?${words}` : location.pathname);
  refresh().catch(() => {});
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-filter]");
  if (!form) return;
  clearTimeout(timer);
  timer = setTimeout(() => filter(form), 150);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    say("Copied.", false);
  }
  for (const menu of document.querySelectorAll("details.menu[open]"))
    if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// --- Dropped files -----------------------------------------------------------------------------

const drop = document.querySelector("form.drop");
if (drop) {
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const data = new FormData();
    data.set("folder_id", drop.elements.folder_id.value);
    for (const file of event.dataTransfer.files) data.append("data", file);
    send(drop, data);
  });
}

ready();
if (!document.hidden) listen();
