// Sends each file as the body of its own request, and shows what the server reports about it.
// The server keeps the state: everything on this page can be drawn again from its event stream.

const AT_ONCE = 3; // a browser opens six connections to a host; the event stream uses one
const LARGEST = 5 * 1024 * 1024;
const WORDS = {
  sending: "Sending",
  processing: "Processing",
  active: "Active",
  refused: "Refused",
  broken: "Interrupted",
};
const SPELLED = { VirusFound: "Virus found" }; // statuses of the service, in plain words
const TILES = [
  [/^(png|jpe?g|gif)$/, "#3457d5"],
  [/^pdf$/, "#c2334d"],
  [/^xlsx?$/, "#12805c"],
  [/^pptx?$/, "#c4621b"],
  [/./, "#5a6b8c"],
];

const $ = (id) => document.getElementById(id);
const list = $("uploads");
const rows = new Map(); // upload id -> its row
const previews = new Map(); // file name -> a local picture of it, for as long as the page lives
const running = new Map(); // file name -> the requests that send files of this name
const waiting = [];
let busy = 0;

function size(bytes) {
  if (!bytes) return "";
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function rowOf(upload) {
  let row = rows.get(upload.id);
  if (!row) {
    row = $("row").content.firstElementChild.cloneNode(true);
    row.dataset.id = upload.id;
    drawTile(row.querySelector(".tile"), upload.name);
    row.querySelector(".stop").onclick = () => running.get(upload.name)?.[0]?.abort();
    rows.set(upload.id, row);
    list.prepend(row);
  }
  return row;
}

function drawTile(tile, name) {
  const extension = name.includes(".") ? name.split(".").pop().toLowerCase() : "?";
  tile.style.setProperty("--tile", TILES.find(([kind]) => kind.test(extension))?.[1]);
  if (previews.has(name)) {
    const picture = new Image();
    picture.src = previews.get(name);
    picture.alt = "";
    picture.onerror = () => tile.replaceChildren(extension.toUpperCase().slice(0, 4));
    tile.replaceChildren(picture);
  } else {
    tile.textContent = extension.toUpperCase().slice(0, 4);
  }
}

function draw(upload) {
  const row = rowOf(upload);
  const percent = upload.size ? Math.round((100 * upload.sent) / upload.size) : 0;
  row.dataset.phase = upload.phase;
  row.dataset.name = upload.name;
  row.toggleAttribute("data-mine", running.has(upload.name));
  const name = row.querySelector(".name");
  if (upload.url.startsWith("https://") || upload.url.startsWith("http://")) {
    const link = Object.assign(document.createElement("a"), {
      href: upload.url, target: "_blank", rel: "noreferrer", textContent: upload.name,
    });
    name.replaceChildren(link);
  } else {
    name.textContent = upload.name;
  }
  row.querySelector(".more").textContent = more(upload, percent);
  row.querySelector(".state").textContent = word(upload);
  const bar = row.querySelector(".bar");
  bar.firstElementChild.style.width = `${percent}%`;
  if (upload.phase === "sending") bar.setAttribute("aria-valuenow", percent);
  else bar.removeAttribute("aria-valuenow");
  count();
}

function more(upload, percent) {
  if (upload.message) return upload.message;
  if (upload.phase !== "sending") return size(upload.size);
  return upload.size ? `${size(upload.sent) || "0 KB"} of ${size(upload.size)} · ${percent}%` : "";
}

function word({ phase, status }) {
  if (phase === "refused" && SPELLED[status]) return SPELLED[status];
  return phase === "processing" && status ? status : WORDS[phase];
}

function count() {
  const phases = [...rows.values()].map((row) => row.dataset.phase);
  const active = phases.filter((phase) => phase === "active").length;
  $("count").textContent = phases.length ? `${active} of ${phases.length} active` : "";
}

// The event stream. The browser reconnects by itself after the server was down.

function link(state, text) {
  $("link").dataset.state = state;
  $("link").lastElementChild.textContent = text;
}

const news = new EventSource("/uploads");
news.onopen = () => link("live", "live");
news.onerror = () => {
  link("waiting", "reconnecting");
  if (news.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 2000);
};
news.addEventListener("uploads", (event) => {
  const all = JSON.parse(event.data);
  const known = new Set(all.map((upload) => upload.id));
  for (const [id, row] of rows) {
    if (!known.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  all.forEach(draw);
});
news.addEventListener("upload", (event) => draw(JSON.parse(event.data)));

// Sending.

function send(files) {
  for (const file of files) {
    if (file.type.startsWith("image/")) previews.set(file.name, URL.createObjectURL(file));
    if (file.size > LARGEST) {
      draw({
        id: crypto.randomUUID(), name: file.name, size: file.size, sent: 0, url: "",
        phase: "refused", status: "", message: "Larger than 5 MB; it was not sent.",
      });
    } else {
      waiting.push(file);
    }
  }
  next();
}

function next() {
  while (busy < AT_ONCE && waiting.length) {
    const file = waiting.shift();
    busy += 1;
    post(file).finally(() => {
      busy -= 1;
      next();
    });
  }
}

async function post(file) {
  const stop = new AbortController();
  running.set(file.name, [...(running.get(file.name) ?? []), stop]);
  try {
    await fetch(`/uploads?name=${encodeURIComponent(file.name)}`, {
      method: "POST", body: file, signal: stop.signal,
    });
  } catch {
    // Aborted, or the server went away: the event stream reports the outcome.
  } finally {
    const others = running.get(file.name).filter((other) => other !== stop);
    if (others.length) running.set(file.name, others);
    else running.delete(file.name);
  }
}

$("files").onchange = (event) => {
  send(event.target.files);
  event.target.value = "";
};
const drop = $("drop");
drop.onkeydown = (event) => {
  if (event.key === "Enter" || event.key === " ") $("files").click();
};
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
  send(event.dataTransfer.files);
});
