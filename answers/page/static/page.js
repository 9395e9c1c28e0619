/* The Answers page. It reads, it runs nothing. Every text is set as text: `el` and `say` are the only ways in.
   Served by Airflow it asks api/…; exported, it finds the same documents in data.js. */
"use strict";

const kept = window.answersData; // an export
const framed = window.parent !== window && !kept;
const $ = (id) => document.getElementById(id);
const POLL = 5000; // milliseconds
const SHAPES = { proven: "✓", "proven, code changed since": "◐", failing: "✕", "not proven": "○" };
const CLASSES = { proven: "proven", "proven, code changed since": "changed", failing: "failing", "not proven": "none" };
let shown = null; // id of the question
let drawn = null; // the same once it is on the page; until then a poll asks for it again
let reading = false;
let noted = "";
let part = ""; // what a tab of a DAG says first
let overview = null;
let stop = () => {}; // ends the clock of a rehearsal

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

/* ---- what is asked ---- */

const tags = new Map(); // path -> [ETag, document]: an answer 304 is the document again

async function ask(path) {
  if (kept) {
    if (path in kept) return kept[path];
    throw new Refused(404, `There is no ${path}.`);
  }
  const [tag, old] = tags.get(path) || [];
  let answer;
  try {
    answer = await fetch(`api/${path}`, { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
  } catch {
    throw new Refused(0, "Airflow does not answer.");
  }
  if (answer.status === 304) return old;
  if (answer.status === 401) { // Airflow's own page leads to the sign-in
    (framed ? window.parent : window).location.reload();
    throw new Refused(401, "You are signed out.");
  }
  const body = await answer.json().catch(() => ({ detail: `Airflow answered ${answer.status}.` }));
  if (!answer.ok) throw new Refused(answer.status, String(body.detail));
  tags.set(path, [answer.headers.get("ETag"), body]);
  return body;
}

/* ---- making elements ---- */

function el(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "on") made.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function say(text) { // `code` becomes code, *a word* is emphasised, all else stays text
  const parts = document.createDocumentFragment();
  String(text).split("`").forEach((part, at) => parts.append(...(at % 2 ? [el("code", {}, part)] : emphasised(part))));
  return parts;
}

function emphasised(text) {
  return text.split(/\*([A-Za-z][\w -]*)\*/).map((part, at) => (at % 2 ? el("em", {}, part) : part));
}

function mark(state) {
  const shape = el("span", { "aria-hidden": "true" }, `${SHAPES[state]} `);
  return el("span", { class: `state ${CLASSES[state]}` }, shape, state);
}

function copier(text, shownAs = "Copy") {
  return press(shownAs, () => copy(text), { class: "small", "aria-label": `${shownAs}: ${text}` });
}

function command(text) {
  return el("div", { class: "row" }, el("code", {}, text), copier(text));
}

async function copy(text) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no secure context: the old way
    const before = document.activeElement;
    const box = el("textarea", { class: "unseen" });
    box.value = text;
    document.body.append(box);
    box.select();
    done = document.execCommand("copy");
    box.remove();
    before.focus();
  }
  announce(`${done ? "Copied" : "The browser does not let this page copy"}: ${text}`);
}

function announce(text) { $("live").textContent = text; }

function table(caption, heads, rows, kind) {
  const numbers = (at) => (rows.some((cells) => typeof cells[at] === "number") ? "number" : null);
  const head = el("tr", {}, ...heads.map((title, at) => el("th", { scope: "col", class: numbers(at) }, title)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell, at) => {
    const number = typeof cell === "number";
    return el(at || kind ? "td" : "th", { scope: at || kind ? null : "row", class: number ? "number" : null }, number ? String(cell) : cell);
  })));
  const made = el("table", { class: kind }, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, ...body));
  return el("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, made);
}

function source(each, where) { // its lines with their numbers, and a mark at the one that is meant
  const lines = each.text.split("\n").map((line, at) => {
    const number = el("span", { class: "at", "aria-hidden": "true" }, each.first ? String(each.first + at) : "");
    return el("span", { class: each.first + at === each.line ? "line here" : "line" }, number, line);
  });
  return el("pre", { tabindex: "0", role: "region", "aria-label": `Lines of ${where}` }, el("code", {}, ...lines));
}

function section(id, title, ...children) {
  return el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), ...children);
}

const runLink = (run, label) => airflow(`dags/${encodeURIComponent(run.dag)}/runs/${encodeURIComponent(run.run)}`, label);
const claimLink = (id) => el("a", { href: `#claim-${id}` }, id);

function airflow(path, label) { // a page of Airflow: by its own router when we are in its frame
  if (kept) return null;
  const link = el("a", { href: `../${path}` }, label);
  link.addEventListener("click", (event) => {
    if (!framed || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    window.parent.history.pushState({}, "", link.href);
    window.parent.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
  });
  return link;
}

const time = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const fold = (label, ...inside) => el("details", {}, el("summary", {}, label), ...inside);
const press = (label, on, more) => el("button", { type: "button", on, ...more }, label);

function ago(iso) {
  const hours = (Date.now() - new Date(iso)) / 3.6e6;
  return hours < 1 ? "within the hour" : hours < 48 ? `${plural(Math.floor(hours), "hour")} ago` : `${Math.floor(hours / 24)} days ago`;
}

/* ---- the parts of a question ---- */

function answer(question) {
  const spans = [];
  const paragraphs = question.answer.map((sentences) => el("p", {}, ...sentences.flatMap((sentence) => {
    spans.push(el("span", {}, say(sentence)));
    return [spans.at(-1), " "];
  })));
  const clock = el("span", { class: "clock", role: "timer" }, "60");
  const result = el("p", { role: "status" });
  const next = press("Next sentence", reveal);
  const all = press("Show all", () => finish());
  const controls = el("div", { class: "row", hidden: true }, clock, next, all);
  const start = press("Rehearse", rehearse);
  let began, timer, place;

  function rehearse() {
    stop();
    spans.forEach((span) => { span.hidden = true; });
    controls.hidden = false;
    start.hidden = true;
    result.textContent = "";
    [began, place] = [Date.now(), 0];
    tick();
    timer = setInterval(tick, 1000);
    document.addEventListener("keydown", space);
    stop = () => finish(true);
    next.focus();
  }
  function tick() {
    const left = Math.ceil(60 - (Date.now() - began) / 1000);
    clock.textContent = String(left);
    if ([30, 10, 0].includes(left)) announce(left ? `${left} seconds` : "The minute is over");
  }
  function reveal() {
    if (place < spans.length) spans[place++].hidden = false;
    if (place === spans.length) finish();
  }
  function space(event) {
    if (event.key !== " " || event.target.closest("button, a, select, summary, input")) return;
    event.preventDefault();
    reveal();
  }
  function finish(quiet) {
    clearInterval(timer);
    document.removeEventListener("keydown", space);
    stop = () => {};
    const seconds = Math.max(1, (Date.now() - began) / 1000);
    spans.forEach((span) => { span.hidden = false; });
    controls.hidden = true;
    start.hidden = false;
    if (quiet) return;
    result.textContent = `${question.words} words in ${Math.round(seconds)} s: ${Math.round(question.words * 60 / seconds)} a minute.`;
    start.focus();
  }
  const about = el("span", { class: "soft" }, `${question.words} words, 60 seconds`);
  return section("answer", "The answer to say", el("div", { class: "row" }, start, about), controls, result, ...paragraphs);
}

function anchor(each, open) {
  const where = each.line ? `${each.file}:${each.line}` : each.file;
  const name = each.anchor.slice(each.file.length + 1);
  const copies = el("div", { class: "row" }, copier(where, "Copy place"), copier(`code -g ${where}`, "Copy editor command"));
  return el("li", {}, el("details", { open }, el("summary", {}, el("code", {}, where), ` ${name}`), source(each, where), copies));
}

function tests(claim) {
  const ran = claim.tests.filter((test) => test.seconds !== null);
  const passed = ran.filter((test) => test.outcome === "passed").length;
  const took = ran.reduce((sum, test) => sum + test.seconds, 0);
  const told = ran.length ? `Tests: ${passed} of ${claim.tests.length} passed, ${time(took)}` : `Tests: ${claim.tests.length}, not run here`;
  const list = claim.tests.map((test) => el("li", {}, el("code", {}, test.id), ` ${test.outcome} `, copier(`pytest ${test.id.split("[")[0]}`)));
  return fold(told, el("ul", {}, ...list));
}

function faults(claim) {
  if (!claim.faults.length) return null;
  const caught = claim.faults.filter((fault) => fault.state.startsWith("caught")).length;
  const tried = claim.faults.some((fault) => fault.state !== "not run");
  const told = tried ? `Mistakes caught: ${caught} of ${claim.faults.length}` : `Mistakes: ${claim.faults.length}, not tried here`;
  const list = claim.faults.map((fault) => el("li", {}, `${fault.title}: ${fault.state}`));
  return fold(`${told}. Show them`, el("ul", {}, ...list));
}

function see(claim) { // each of its commands with a button
  const text = say(claim.see);
  const commands = [...text.querySelectorAll("code")].filter((each) => claim.commands.includes(each.textContent));
  commands.forEach((each) => each.after(" ", copier(each.textContent)));
  return text;
}

function article(claim) {
  const why = [claim.reason, claim.changed.length ? `Changed: ${claim.changed.join(", ")}` : null,
    claim.elsewhere_changed ? "Other code has changed since." : null].filter(Boolean);
  return el("article", { id: `claim-${claim.id}`, tabindex: "-1" },
    el("div", { class: "row apart" }, el("h3", {}, `${claim.id} `, mark(claim.state), claim.live ? " · needs a live stack" : null),
      press(`Copy link to ${claim.id}`, () => copy(address(shown, `claim-${claim.id}`)), { class: "small" })),
    el("p", {}, say(claim.text)),
    why.length ? el("p", { class: "soft" }, why.join(" ")) : null,
    el("ul", { class: "plain" }, ...claim.anchors.map((each) => anchor(each))),
    tests(claim), faults(claim),
    ...claim.measured.map((each) => el("p", {}, el("strong", {}, "Measured: "), each.text, " ", el("span", { class: "soft" }, each.source))),
    el("h4", {}, "See it yourself"), el("p", {}, see(claim)));
}

function runs(found, makes) {
  const said = found.said.map((each) => el("li", {}, `${each.text} `,
    el("span", { class: "soft" }, "claim ", claimLink(each.claim), `, ${each.source}`)));
  const rows = found.runs.map((run) => {
    const tasks = run.tasks.map((task) => {
      const more = [task.count > 1 ? `× ${task.count}` : "", task.tries > 1 ? `try ${task.tries}` : "", task.seconds ? `${task.seconds} s` : ""];
      return el("li", {}, `${task.task}: ${task.state} ${more.filter(Boolean).join(", ")}`);
    });
    const list = fold(plural(tasks.length, "task"), el("ul", {}, ...tasks));
    return [run.day, el("span", {}, runLink(run, run.run) || run.run, el("br"), el("span", { class: "soft" }, run.dag)), run.state, run.seconds ?? "", list];
  });
  const nothing = [el("p", {}, "Nothing has run yet. This makes something to see:"), ...makes.map(command)];
  const runs = rows.length ? [table("The last runs, from Airflow's database", ["day", "run", "state", "seconds", "tasks"], rows)] : nothing;
  return [said.length ? el("ul", {}, ...said) : null, ...runs].filter(Boolean);
}

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function figure(plot) {
  const most = Math.max(...plot.bars.map((bar) => bar.value), plot.goal ? plot.goal.value : 0) || 1;
  const width = Math.max(260, Math.min(680, $("body").clientWidth));
  const many = plot.bars.length > 15; // columns, of which the first and the last have a name; the table has all
  const parts = [];
  const height = many ? 172 : plot.bars.length * 40;
  const below = (bar) => (plot.goal && many && bar.value < plot.goal.value ? "below" : "");
  plot.bars.forEach((bar, at) => {
    if (many) {
      const step = width / plot.bars.length;
      const tall = 140 * bar.value / most;
      parts.push(svg("rect", { class: below(bar), x: at * step, y: 150 - tall, width: Math.max(1, step - 2), height: tall }));
      return;
    }
    const long = (width - 70) * bar.value / most;
    parts.push(svg("text", { x: 0, y: at * 40 + 14 }, bar.label));
    parts.push(svg("rect", { x: 0, y: at * 40 + 19, width: Math.max(1, long), height: 14 }));
    parts.push(svg("text", { x: long + 6, y: at * 40 + 31 }, `${bar.value}`));
  });
  if (many) {
    parts.push(svg("text", { x: 0, y: 168 }, plot.bars[0].label), svg("text", { x: width, y: 168, "text-anchor": "end" }, plot.bars.at(-1).label));
  }
  if (plot.goal) {
    const at = many ? 150 - 140 * plot.goal.value / most : (width - 70) * plot.goal.value / most;
    parts[many ? "push" : "unshift"](svg("line", many ? { x1: 0, x2: width, y1: at, y2: at } : { x1: at, x2: at, y1: 0, y2: height }));
  }
  const short = plot.bars.filter(below).length;
  const goal = plot.goal ? ` The dashed line: ${plot.goal.label}, ${plot.goal.value} ${plot.unit}.${many ? ` ${short} of ${plot.bars.length} below it, in outline.` : ""}` : "";
  const low = plot.bars.reduce((one, other) => (other.value < one.value ? other : one));
  const desc = `${plot.bars.length} bars, the lowest ${low.label} with ${low.value} ${plot.unit}, none above ${most}.${goal}`;
  const picture = svg("svg", { role: "img", viewBox: `0 0 ${width} ${height}`, width, height, "aria-labelledby": `${plot.name}-t ${plot.name}-d` },
    svg("title", { id: `${plot.name}-t` }, plot.title), svg("desc", { id: `${plot.name}-d` }, desc), ...parts);
  const rows = plot.bars.map((bar) => [bar.label, bar.value]);
  return el("figure", {}, el("h3", {}, `${plot.title}, ${plot.unit}`), el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": plot.title }, picture),
    el("figcaption", {}, say(`${plot.source}: ${plot.made}.${goal}`)),
    fold("As a table", table(plot.title, ["of what", plot.unit], rows)));
}

function walk(question) {
  const steps = question.walk.map((step, at) => {
    const shownLines = step.excerpt ? el("ul", { class: "plain" }, anchor(step.excerpt, true)) : null;
    const commands = [step.run, step.then].filter(Boolean).map(command);
    const expects = step.expect ? el("p", { class: "soft" }, `Within ${time(step.expect.seconds)}${step.expect.says ? `, and it prints “${step.expect.says}”` : ""}.`) : null;
    const asked = step.ask ? el("p", {}, el("strong", {}, "They ask: "), say(step.ask)) : null;
    const claims = step.claim.length ? el("p", { class: "soft" }, "Claim", ...step.claim.flatMap((id) => [" ", claimLink(id)])) : null;
    return el("li", { hidden: at > 0 }, el("p", { class: "spoken" }, say(step.say)), shownLines, ...commands, expects, asked, claims);
  });
  let place = 0;
  const told = el("span", { class: "soft", role: "status" });
  const go = (by) => {
    steps[place].hidden = true;
    place = (place + by + steps.length) % steps.length;
    steps[place].hidden = false;
    told.textContent = `step ${place + 1} of ${steps.length}`;
  };
  go(0);
  const buttons = [press("Back", () => go(-1)), press("Next", () => go(1)), told];
  const seconds = question.walk.reduce((sum, step) => sum + step.seconds.said, 0);
  return [el("p", {}, `${time(seconds)} without its commands. In a terminal: `, el("code", {}, `answers walk ${question.id}`)), el("div", { class: "row" }, ...buttons), el("ol", { class: "plain" }, ...steps)];
}

function exercises(question) {
  return question.exercises.map((each) => el("li", {}, `${each.title}. ${each.minutes} min, ${each.skills.join(", ")}.`, command(each.start)));
}

function body(question) {
  const last = el("span", { id: "last" });
  const links = el("div", { class: "row" }, airflow(`dags/${encodeURIComponent(question.dag)}`, "Open the DAG"), last,
    press("Copy link", () => copy(address(question.id))));
  const pairs = question.then_now.map((pair) => [say(pair.then), say(pair.now)]);
  const jumps = el("ul", { class: "jumps", "aria-label": "On this page" });
  const parts = [
    part ? el("p", {}, say(part)) : null,
    el("p", { class: "asked" }, say(question.question)), question.dag ? links : null, jumps,
    question.answered ? answer(question) : el("p", {}, "Not answered yet."),
    pairs.length ? section("then-now", "Then → now", table("Airflow 1 and 2, and today", ["then", "now"], pairs, "pairs")) : null,
    section("claims", "Claims", ...question.claims.map(article)),
    kept ? null : section("evidence", "Live evidence", el("div", { id: "runs" })),
    question.plots.length ? section("plots", "Plots", el("div", { id: "drawn" })) : null,
    question.exercises.length ? section("exercises", "Exercises", el("ul", {}, ...exercises(question))) : null,
    question.walk.length ? section("walk", "Walk", ...walk(question)) : null,
  ].filter(Boolean);
  const counts = Object.entries(SHAPES).map(([state, shape]) => [question.claims.filter((claim) => claim.state === state).length, state, shape]);
  const told = counts.filter(([count]) => count).map(([count, state, shape]) => `${shape} ${count} ${state}`).join(", ");
  jumps.append(...parts.filter((each) => each.localName === "section").map((each) => el("li", {},
    el("a", { href: `#${each.id}` }, each.firstChild.textContent), each.id === "claims" ? ` ${told}` : "")));
  return parts;
}

/* ---- the frame ---- */

function address(id, claim) { // of this question, as somebody else would open it
  const query = `?q=${id}${claim ? `#${claim}` : ""}`;
  const own = new URL(query, location.href);
  const found = framed && /^(.*?\/plugin\/answers)(\/|$)/.exec(window.parent.location.pathname);
  return found ? new URL(`${found[1]}${own.pathname}${own.search}${own.hash}`, own).href : own.href;
}

function mirror(id, claim) { // Airflow's address bar follows, so that a reload comes back here
  if (framed && window.parent.location.pathname.includes("/plugin/answers")) {
    window.parent.history.replaceState(window.parent.history.state, "", address(id, claim));
  }
}

function list() {
  const { caught, known } = overview.faults;
  const about = [overview.proven_at ? `Proof of ${ago(overview.proven_at)}` : null, (overview.commit || "").slice(0, 7),
    caught ? `${caught} of ${known} mistakes caught` : null];
  $("about").textContent = about.filter(Boolean).join(" · ") || "Not proven here";
  $("list").replaceChildren(...overview.questions.map((each) => {
    const link = el("a", { href: `?q=${each.id}`, "aria-current": each.id === shown ? "page" : null }, `${each.number} ${each.title}`, mark(each.state));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(each.id);
    });
    return el("li", {}, link);
  }));
  $("choose").replaceChildren(...overview.questions.map((each) => {
    const option = el("option", { value: each.id }, `${each.number} ${each.title} (${each.state})`);
    option.selected = each.id === shown;
    return option;
  }));
}

function note(text) { // once, not at every poll: it is read aloud
  if (text === noted) return;
  noted = text;
  $("note").hidden = !text;
  $("note").replaceChildren(say(text || ""));
}

async function show(id, focus) {
  stop();
  [shown, drawn, reading] = [id, null, true];
  const slow = setTimeout(() => { if (shown === id) note("Reading…"); }, 300);
  try {
    overview = await ask("questions");
    const question = await ask(`questions/${id}`);
    if (shown !== id) return;
    list();
    makes = question.makes;
    $("title").textContent = `${question.number} · ${question.title}`;
    document.title = `${question.number} · ${question.title} · Answers`;
    if (framed && window.frameElement) window.frameElement.title = document.title;
    $("body").replaceChildren(...body(question));
    drawn = id;
    note(overview.note);
    if (focus) $("title").focus();
    const target = $(location.hash.slice(1));
    if (target) target.scrollIntoView();
    poll();
    const plots = await Promise.all(question.plots.map((name) => ask(`plots/${name}`)));
    if (shown === id && plots.length) $("drawn").replaceChildren(...plots.map(figure));
  } catch (error) {
    if (shown === id) note(error.message);
  } finally {
    if (shown === id) reading = false;
    clearTimeout(slow);
    if (noted === "Reading…") note(overview && overview.note);
  }
}

function open(id) {
  if (!kept) history.pushState({}, "", `?q=${id}`);
  mirror(id);
  show(id, true);
  window.scrollTo(0, 0);
}

let makes = []; // commands that leave something to see
let newest = ""; // the evidence that is drawn, and when it came
let at = "";

async function poll() {
  const [id, place] = [shown, $("runs")];
  if (document.visibilityState !== "visible") return;
  if (drawn !== id) return reading || show(id);
  if (!place) return;
  try {
    const found = await ask(`evidence/${id}`);
    if (shown !== id || place !== $("runs")) return;
    at = new Date().toLocaleTimeString();
    const text = JSON.stringify(found);
    if (place.hasChildNodes() && text === newest) return note(overview.note);
    if (place.hasChildNodes()) announce("There is new evidence.");
    newest = text;
    const details = () => [...place.querySelectorAll("details")];
    const opened = details().map((each) => each.open);
    place.replaceChildren(...runs(found, makes));
    if (opened.length === details().length) details().forEach((each, n) => { each.open = opened[n]; });
    const run = found.runs[0];
    $("last").replaceChildren(run ? runLink(run, "Last run") : "");
    note(overview.note);
  } catch (error) {
    if (shown !== id) return;
    if (error.status === 403) place.replaceChildren(el("p", {}, error.message));
    else note(`${error.message} ${at ? `This is as of ${at}.` : ""}`);
  }
}

function follow() { // Airflow's theme, or this machine's
  const media = matchMedia("(prefers-color-scheme: dark)");
  const root = framed ? window.parent.document.documentElement : null;
  const set = () => {
    const dark = root ? root.classList.contains("dark") : media.matches;
    document.documentElement.classList.toggle("dark", dark);
  };
  set();
  if (root) new MutationObserver(set).observe(root, { attributes: true, attributeFilter: ["class"] });
  else media.addEventListener("change", set);
}

async function begin() {
  const query = new URLSearchParams(location.search);
  const dag = query.get("dag");
  if (!dag) {
    const first = /^q\d\d+$/.test(query.get("q") || "") ? query.get("q") : "q01";
    mirror(first, location.hash.slice(1));
    return show(first);
  }
  document.documentElement.classList.add("tab");
  try {
    const found = await ask(`of-dag/${encodeURIComponent(dag)}`);
    if (found.question) {
      part = `Part of question ${Number(found.question.slice(1))}: \`${dag}\` is made by \`dags/${found.file}\`.`;
      return show(found.question);
    }
    $("title").textContent = "No question rests on this DAG";
    $("body").append(el("p", {}, airflow("plugin/answers", "All questions")));
  } catch (error) {
    note(error.message);
  }
  return undefined;
}

follow();
addEventListener("popstate", () => {
  const id = new URLSearchParams(location.search).get("q");
  if (id && id !== shown) show(id, true);
  if (id) mirror(id, location.hash.slice(1));
});
addEventListener("hashchange", () => mirror(shown, location.hash.slice(1)));
$("choose").addEventListener("change", (event) => open(event.target.value));
document.addEventListener("visibilitychange", () => poll());
setInterval(poll, POLL);
begin();
