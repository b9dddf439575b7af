// Draws z, and the class, of a seed as numpy's RandomState does, so that a seed's picture is that of `ganzoo sample`.
"use strict";

class RandomState {
  // MT19937 (Matsumoto and Nishimura 1998), seeded as by init_genrand
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.place = 624;
    this.kept = null;
    this.state[0] = seed >>> 0;
    for (let i = 1; i < 624; i++) {
      const last = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = (Math.imul(1812433253, last) + i) >>> 0;
    }
  }

  word() {
    if (this.place === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (this.state[i] & 0x80000000) | (this.state[(i + 1) % 624] & 0x7fffffff);
        this.state[i] = this.state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      this.place = 0;
    }
    let y = this.state[this.place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  double() {
    const high = this.word() >>> 5, low = this.word() >>> 6;
    return (high * 67108864 + low) / 9007199254740992;
  }

  // Marsaglia's polar method, which gives two at a time
  normal() {
    if (this.kept !== null) {
      const kept = this.kept;
      this.kept = null;
      return kept;
    }
    let x, y, square;
    do {
      x = 2 * this.double() - 1;
      y = 2 * this.double() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const scale = Math.sqrt((-2 * Math.log(square)) / square);
    this.kept = scale * x;
    return scale * y;
  }

  below(count) {
    let mask = count - 1;
    for (const shift of [1, 2, 4, 8, 16]) mask |= mask >>> shift;
    if (count === 1) return 0;
    let value;
    do value = (this.word() & mask) >>> 0; while (value > count - 1);
    return value;
  }
}

const at = (id) => document.getElementById(id);
const say = (text) => { at("state").textContent = text; };
let facts, session, shown = 0;

function inputs(seed, label, psi) {
  const rng = new RandomState(seed), z = [];
  for (const part of facts.prior) {
    for (let i = 0; i < part.length; i++) {
      z.push(part.kind === "normal" ? rng.normal() : part.low + (part.high - part.low) * rng.double());
    }
  }
  const feeds = { z: new ort.Tensor("float32", Float32Array.from(z), [1, z.length]) };
  if (facts.classes) {
    const drawn = label === "" ? rng.below(facts.classes) : Number(label);
    feeds.labels = new ort.Tensor("int64", BigInt64Array.from([BigInt(drawn)]), [1]);
  }
  if (facts.truncation === "w") feeds.truncation = new ort.Tensor("float32", new Float32Array(facts.layers).fill(psi), [facts.layers]);
  if (facts.truncation === "scale") feeds.truncation = new ort.Tensor("float64", Float64Array.from([-1]), []);
  return feeds;
}

async function draw() {
  say("drawing");
  const started = performance.now(), seed = Number(at("seed").value) >>> 0;
  const { images } = await session.run(inputs(seed, at("class").value, Number(at("psi").value)));
  const [, channels, height, width] = images.dims, canvas = at("picture");
  [canvas.width, canvas.height] = [width, height];
  const pixels = canvas.getContext("2d").createImageData(width, height), area = width * height;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      const value = images.data[(channels === 1 ? 0 : c) * area + i];
      pixels.data[4 * i + c] = Math.min(255, Math.max(0, Math.floor(127.5 * value + 128)));
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  shown = seed;
  say(`seed ${seed}, ${Math.round(performance.now() - started)} ms`);
}

// A PNG with a chunk of XMP behind its first, in which the file says where it came from
function marked(png, xmp) {
  const text = new TextEncoder().encode(`iTXtXML:com.adobe.xmp\0\0\0\0\0${xmp}`);
  const chunk = new Uint8Array(text.length + 8), view = new DataView(chunk.buffer), first = 8 + 25;
  let crc = -1;
  for (const byte of text) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  view.setUint32(0, text.length - 4);
  chunk.set(text, 4);
  view.setUint32(text.length + 4, ~crc >>> 0);
  return new Blob([png.slice(0, first), chunk, png.slice(first)], { type: "image/png" });
}

async function save() {
  const drawn = await new Promise((done) => at("picture").toBlob(done, "image/png"));
  const png = new Uint8Array(await drawn.arrayBuffer());
  const link = document.createElement("a");
  link.download = `${facts.name}-${shown}.png`;
  link.href = URL.createObjectURL(facts.xmp ? marked(png, facts.xmp.replace("@seed@", shown)) : drawn);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const attempt = (work) => work().catch((error) => say(`this did not work: ${error.message || error}`));

attempt(async () => {
  facts = await (await fetch("model.json")).json();
  ort.env.wasm.numThreads = 1;  // several need headers that static hosts do not send
  ort.env.wasm.wasmPaths = new URL("runtime/", document.baseURI).href;
  session = await ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
  at("class-label").hidden = !facts.classes;
  for (let i = 0; i < (facts.classes || 0); i++) at("class").add(new Option(facts.class_names ? facts.class_names[i] : i, i));
  at("psi-label").hidden = facts.truncation !== "w";
  at("form").addEventListener("submit", (event) => { event.preventDefault(); attempt(draw); });
  at("another").addEventListener("click", () => {
    at("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
    attempt(draw);
  });
  at("save").addEventListener("click", () => attempt(save));
  await draw();
});
