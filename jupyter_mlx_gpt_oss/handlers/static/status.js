// The live part of the status page, copying, and showing the key. Nothing here talks to another server.
"use strict";

const CALM_MILLISECONDS = 3000;
const BUSY_MILLISECONDS = 1000;
const MAX_SPEEDS = 60;
const COPIED_MILLISECONDS = 1500;

const placeholder = document.body.dataset.placeholder;
const key = document.getElementById("key");
const speeds = [];

// A proxy that ends TLS may have told the server another scheme or host than the one this page was opened with.
function correctOrigin() {
  const { origin } = document.body.dataset;
  if (origin === location.origin) return;
  const baseUrl = document.getElementById("base-url");
  baseUrl.value = baseUrl.value.replace(origin, location.origin);
  for (const text of document.querySelectorAll("pre")) {
    text.textContent = text.textContent.replaceAll(origin, location.origin);
  }
}

// Jupyter takes its token from an address once; it should not stay there to be copied or bookmarked.
function forgetToken() {
  const url = new URL(location.href);
  if (!url.searchParams.has("token")) return;
  url.searchParams.delete("token");
  history.replaceState(null, "", url);
}

function drawSpeeds() {
  const live = document.getElementById("live");
  speeds.push(Number(live.dataset.speed));
  if (speeds.length > MAX_SPEEDS) speeds.shift();
  const most = Math.max(...speeds);
  if (most === 0) return;
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const first = MAX_SPEEDS - speeds.length;
  const points = speeds.map((speed, index) => {
    const x = (100 * (first + index)) / (MAX_SPEEDS - 1);
    return `${x.toFixed(2)},${(23 - (22 * speed) / most).toFixed(2)}`;
  });
  line.setAttribute("points", points.join(" "));
  live.querySelector(".spark").replaceChildren(line);
}

function say(text) {
  const place = document.getElementById("connection");
  if (place.textContent !== text) place.textContent = text;
}

async function refresh() {
  const answer = await fetch(`${location.pathname}?part=live`, { cache: "no-store", redirect: "error" });
  if (answer.status === 401 || answer.status === 403) {
    location.reload(); // logged out: the page leads to where one logs in
    return;
  }
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  document.getElementById("live").replaceWith(next);
  document.title = `GPT-OSS · ${next.querySelector(".state").textContent}`;
  drawSpeeds();
}

async function keepFresh() {
  let pause = CALM_MILLISECONDS;
  if (!document.hidden) {
    try {
      await refresh();
      say("live");
      if (document.getElementById("live").dataset.busy === "1") pause = BUSY_MILLISECONDS;
    } catch {
      say("the server does not answer; trying again");
    }
  }
  setTimeout(keepFresh, pause);
}

function textToCopy(element) {
  if (element instanceof HTMLInputElement) return element.value;
  return key ? element.textContent.replaceAll(placeholder, key.value) : element.textContent;
}

async function writeToClipboard(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // A page that came over plain HTTP from another machine has no clipboard of its own.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await writeToClipboard(textToCopy(document.getElementById(button.dataset.copy)));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, COPIED_MILLISECONDS);
  });
}

document.getElementById("show-key")?.addEventListener("click", (event) => {
  const isShown = key.type === "text";
  key.type = isShown ? "password" : "text";
  event.target.textContent = isShown ? "Show" : "Hide";
  event.target.setAttribute("aria-pressed", String(!isShown));
});

forgetToken();
correctOrigin();
drawSpeeds();
keepFresh();
