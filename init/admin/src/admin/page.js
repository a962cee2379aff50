"use strict";
// The status page: polls /v1/status and /v1/log of the node that served it. Everything
// from the node is set as text, never as markup.
const KEY = "kodo-token";
const EVENTS = 15;
const $ = (id) => document.getElementById(id);
let token = sessionStorage.getItem(KEY);
let from = 0;
let events = [];
let uptime = 0;
let answered = 0;
let timer;

function el(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}

function fill(id, children) { $(id).replaceChildren(...children); }

function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 10) return (ms / 1000).toFixed(1) + " s";
  if (s < 120) return s + " s";
  if (s < 7200) return Math.floor(s / 60) + " min";
  if (s < 172800) return Math.floor(s / 3600) + " h";
  return Math.floor(s / 86400) + " days";
}

async function ask(path) {
  const answer = await fetch(path, {
    headers: { Authorization: "Bearer " + token },
    cache: "no-store",
    signal: AbortSignal.timeout(4000),
  });
  const body = await answer.json();
  if (answer.ok) return body;
  const error = new Error(body.error + ": " + body.hint);
  error.status = answer.status;
  throw error;
}

function card(name, kind, line, rows) {
  const node = el("article", undefined, "card " + kind);
  const list = el("ul");
  list.append(...rows.map(([text, kind]) => el("li", text, kind)));
  node.append(el("h3", name), el("p", line, kind), list);
  return node;
}

function group(g, status) {
  const clones = g.clones !== null;
  const here = clones ? g.state !== "stopped" && g.state !== "blocked" : g.holder === status.node;
  const runs = clones ? g.nodes.length > 0 : g.holder !== null;
  const short = clones && g.nodes.length < g.clones;
  const kind = !runs ? "bad"
    : short || !g.managed || (here && g.state !== "started") ? "warn" : "good";
  const place = clones ? g.nodes.join(", ") + " (" + g.nodes.length + " of " + g.clones + ")" : g.holder;
  const line = runs ? "on " + place : "runs nowhere";
  const rows = here
    ? g.members.map((m) => [m.name + ": " + m.state, m.state === "started" ? "" : "warn"])
    : [[status.node + ": " + g.state, g.state === "blocked" ? "warn" : "quiet"]];
  if (g.promotes) {
    const fit = g.promotion.map((f) => f.node + " (" + f.score + ")").join(", ");
    rows.push(["promotes " + g.promotes + ": " + (fit || "no instance is fit"), fit ? "quiet" : "warn"]);
  }
  if (g.waits_for) rows.push([status.node + " waits for " + g.waits_for, "warn"]);
  if (g.stuck_on) rows.push(["cannot be stopped on " + g.stuck_on, "bad"]);
  if (!g.managed) rows.push(["not managed: watched only", "warn"]);
  if (g.failures) rows.push([g.failures + " failures on " + status.node, "warn"]);
  return card(g.name, kind, line, rows);
}

function machine(n, status) {
  const role = n.role + (n.standby ? ", on standby by order" : "") + (n.quarantined ? ", in quarantine" : "")
    + (n.health === "yellow" || n.health === "red" ? ", health " + n.health : "");
  const dead = n.role === "dead" || n.role === "refused";
  const kind = dead ? "bad" : n.standby || n.quarantined || n.role === "observer" || !n.same_file ? "warn" : "good";
  const rows = n.paths.map((p) => ["path " + p.name + ": " + p.state, p.state === "up" ? "" : "warn"]);
  if (n.name === status.node) rows.push(["this node", "quiet"]);
  else if (n.silent_ms === null) rows.push(["never heard", "warn"]);
  else rows.push(["heard " + span(n.silent_ms) + " ago", "quiet"]);
  if (n.disk && n.disk !== "none") rows.push(["state partition: " + n.disk, n.disk === "failing" ? "warn" : "quiet"]);
  if (!n.same_file) rows.push(["runs another cluster file", "warn"]);
  return card(n.name, kind, role, rows);
}

function show(status) {
  document.title = status.health + " \u2013 " + status.cluster + " (" + status.node + ")";
  $("cluster").textContent = status.cluster;
  $("node").textContent = status.node;
  $("uptime").textContent = span(status.uptime_ms);
  $("view").textContent = status.view
    ? "view " + status.view.epoch + ": " + status.view.members.join(", ") : "no view yet";
  $("health").textContent = status.health + (status.maintenance ? ", maintenance" : "");
  $("health").className = status.health === "healthy" ? "good" : "warn";
  fill("concerns", status.concerns.map((c) => el("li", c)));
  fill("groups", status.groups.map((g) => group(g, status)));
  fill("nodes", status.nodes.map((n) => machine(n, status)));
  fill("notes", status.notes.map((n) => el("li", n)));
  $("watchdog").textContent = status.watchdog
    ? "watchdog " + status.watchdog.name + ", " + span(status.watchdog.timeout_ms) : "no watchdog";
  $("watchdog").textContent += ", gate " + status.gate;
  const w = status.witness;
  $("witness").textContent = w ? "witness " + w.address + (w.reachable ? ": answers" : ": does not answer")
    + (w.holder ? ", speaks for " + w.holder : "") : "";
  $("counters").textContent = "rejected since boot: " + Object.entries(status.counters)
    .map(([name, count]) => count + " " + name).join(", ");
}

async function follow() {
  for (;;) {
    const page = await ask("/v1/log?from=" + from);
    if (page.lines.length === 0) break;
    events = events.concat(page.lines).slice(-EVENTS);
    from = page.next;
  }
  fill("events", events.slice().reverse().map((line) => {
    const row = el("tr");
    const kind = { warn: "warn", alert: "bad" }[line.level];
    row.append(el("td", (line.at_us / 1e6).toFixed(3)), el("td", line.text, kind));
    return row;
  }));
}

function login(why) {
  token = null;
  sessionStorage.removeItem(KEY);
  $("status").hidden = true;
  $("login").hidden = false;
  $("refused").textContent = why;
  $("token").focus();
}

async function poll() {
  clearTimeout(timer);
  try {
    const status = await ask("/v1/status");
    // Restarted: its log begins anew.
    if (status.uptime_ms < uptime) { from = 0; events = []; }
    uptime = status.uptime_ms;
    answered = Date.now();
    $("login").hidden = true;
    $("status").hidden = false;
    $("lost").textContent = "";
    show(status);
    await follow();
  } catch (error) {
    if (error.status === 401) { login(error.message); return; }
    if (!answered) { $("login").hidden = false; $("refused").textContent = error.message; }
    else $("lost").textContent = "No answer for " + span(Date.now() - answered)
      + ": what is below may be old. Ask the other node. (" + error.message + ")";
  }
  timer = setTimeout(poll, 1000);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  sessionStorage.setItem(KEY, token);
  poll();
});
$("forget").addEventListener("click", () => { clearTimeout(timer); answered = 0; login(""); });
if (token) poll(); else login("");
