"use strict";
// Shows pictures for as many milliseconds as the server says, and sends the answers; it does not know what is real.

const at = (id) => document.getElementById(id);
const frame = () => new Promise(requestAnimationFrame);
let asked = null, shown = null, since = 0;

async function loaded(url) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  return picture;
}

// Counted from the frame on which it appears to the one on which it goes, as the screen shows nothing in between
async function show(picture, ms) {
  at("frame").replaceChildren(picture);
  const begun = await frame();
  let now = begun;
  while (now - begun < ms - 4) now = await frame();
  return now - begun;
}

async function count() {
  for (const number of ["3", "2", "1"]) {
    at("frame").replaceChildren(number);
    await new Promise((done) => setTimeout(done, 500));
  }
}

async function ask(question) {
  asked = question;
  at("start").hidden = at("end").hidden = true;
  at("test").hidden = false;
  at("question").hidden = true;
  at("count").textContent = `picture ${question.number + 1} of ${question.of}`;
  at("last").textContent = "right" in question ? `the last answer was ${question.right ? "right" : "wrong"}` : "";
  const picture = await loaded(question.picture);
  shown = null;
  if (question.mode === "time") {
    const masks = await Promise.all(question.masks.map(loaded));
    if (question.countdown) await count();
    shown = await show(picture, question.exposure);
    for (const mask of masks) await show(mask, question.mask);
    at("frame").replaceChildren();
  } else {
    at("frame").replaceChildren(picture);
  }
  since = performance.now();
  at("question").hidden = false;
}

function told(result) {
  at("test").hidden = true;
  at("end").hidden = false;
  const [score] = result.scores;
  const [low, high] = score.interval;
  const share = (value) => `${(100 * value).toFixed(0)} %`;
  at("result").textContent = score.key.startsWith("hype_time")
    ? `${result.model}: your threshold is ${score.value.toFixed(0)} ms (${low.toFixed(0)} to ${high.toFixed(0)}).`
    : `${result.model}: ${share(score.value)} of your answers were wrong (${share(low)} to ${share(high)}); ` +
      "who cannot tell is wrong in 50 %.";
}

async function send(path, body) {
  at("error").textContent = path === "begin" ? "the pictures are being drawn" : "";
  try {
    const answer = await fetch(path, { method: "POST", body: JSON.stringify(body) });
    const found = await answer.json();
    if (found.error) throw new Error(found.error);
    at("error").textContent = "";
    await (found.done ? told(found) : ask(found));
  } catch (error) {
    at("error").textContent = error.message;
  }
}

function begin(mode) {
  at("start").hidden = true;
  send("begin", { mode }).then(() => { if (at("test").hidden && at("end").hidden) at("start").hidden = false; });
}

function answer(said) {
  if (at("question").hidden || at("test").hidden) return;
  at("question").hidden = true;
  send("answer", { session: asked.session, number: asked.number, said, shown, took: performance.now() - since });
}

at("time").onclick = () => begin("time");
at("infinity").onclick = () => begin("infinity");
at("real").onclick = () => answer(true);
at("generated").onclick = () => answer(false);
at("again").onclick = () => { at("end").hidden = true; at("start").hidden = false; };
document.onkeydown = (event) => {
  if (event.key.toLowerCase() === "r") answer(true);
  if (event.key.toLowerCase() === "g") answer(false);
};
