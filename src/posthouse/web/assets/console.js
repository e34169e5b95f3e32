// The console without this file works; with it, pages follow what happens.
"use strict";

const MINUTE = 60, HOUR = 3600, DAY = 86400;
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

function spoken(date) {
  const seconds = Math.round((date - Date.now()) / 1000);
  const size = Math.abs(seconds);
  if (size < 5) return "now";
  if (size < MINUTE) return relative.format(seconds, "second");
  if (size < HOUR) return relative.format(Math.trunc(seconds / MINUTE), "minute");
  if (size < DAY) return relative.format(Math.trunc(seconds / HOUR), "hour");
  return date.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

function tellTimes(root) {
  for (const each of root.querySelectorAll("time[datetime]")) {
    const date = new Date(each.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    each.title = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    each.textContent = spoken(date);
  }
}

function idsIn(root) {
  return new Set(Array.from(root.querySelectorAll("[data-id]"), (each) => each.dataset.id));
}

// Where the reader is: the focused element and the opened details stay as they were.
function placeIn(root) {
  const all = Array.from(root.querySelectorAll("a, button, summary"));
  return {
    focused: all.indexOf(document.activeElement),
    address: document.activeElement && document.activeElement.getAttribute("href"),
    opened: Array.from(root.querySelectorAll("details"), (each) => each.open),
  };
}

function restore(root, place) {
  root.querySelectorAll("details").forEach((each, index) => {
    if (place.opened[index]) each.open = true;
  });
  if (place.focused < 0) return;
  const all = Array.from(root.querySelectorAll("a, button, summary"));
  const same = place.address && all.find((each) => each.getAttribute("href") === place.address);
  const target = same || all[place.focused];
  if (target) target.focus({ preventScroll: true });
}

async function refresh(region) {
  const address = new URL(location.href);
  address.searchParams.set("fragment", "1");
  const answer = await fetch(address, { headers: { accept: "text/plain, */*;q=0.1" } });
  if (answer.status === 401) location.reload();
  if (!answer.ok) return;
  const before = idsIn(region);
  const place = placeIn(region);
  // Our own server's rendering, in which everything a mail says is escaped; no script in it could run (CSP).
  region.innerHTML = await answer.text();
  let arrived = 0;
  for (const each of region.querySelectorAll("[data-id]")) {
    if (!before.has(each.dataset.id)) {
      each.classList.add("new");
      arrived += 1;
    }
  }
  tellTimes(region);
  restore(region, place);
  const noun = region.dataset.noun;
  if (noun && arrived) document.getElementById("news").textContent = `${arrived} new ${noun}${arrived > 1 ? "s" : ""}`;
}

function follow(region) {
  let busy = false, again = false;
  const update = async () => {
    if (busy) { again = true; return; }
    busy = true;
    do {
      again = false;
      await refresh(region).catch(() => {});
    } while (again);
    busy = false;
  };
  const source = new EventSource("/console/live");
  source.addEventListener("change", update);
  // At every opening, the first too: what happened between the page's making and now was told to nobody.
  source.addEventListener("open", update);
  addEventListener("pagehide", () => source.close());
}

document.documentElement.dataset.scripted = "";
document.querySelectorAll("form[data-now]").forEach((form) => form.requestSubmit());
tellTimes(document);
setInterval(() => tellTimes(document), 10000);
document.querySelectorAll("[data-live]").forEach(follow);

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const field = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (field) { field.focus(); event.preventDefault(); }
});
