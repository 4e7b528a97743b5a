// Times TFLite files in WebAssembly, as a browser runs them, with LiteRT.js:
//   node --no-liftoff time_tflite.mjs NODE_MODULES ROUNDS FILE...
// Prints one line of JSON a file: milliseconds of each round, and the output.
// --no-liftoff: optimized code from the first call, not after some hundreds.
import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, rounds, ...files] = process.argv.slice(2);
const core = path.resolve(modules, "@litertjs/core");

// LiteRT.js is for browsers: what it asks of one, as Node has it.
globalThis.self = globalThis;
globalThis.require = createRequire(path.join(core, "package.json"));
globalThis.__dirname = path.join(core, "wasm");
globalThis.importScripts = (file) => {
  globalThis.__filename = file;
  const script = fs.readFileSync(file, "utf8");
  vm.runInThisContext(`${script};self.ModuleFactory = ModuleFactory;`);
};
console.warn = console.error = console.log;
const litert = await import(pathToFileURL(path.join(core, "dist/index.js")));
await litert.loadLiteRt(path.join(core, "wasm"), { threads: false });

async function run(net) {
  const input = new litert.Tensor(net.x, net.shape);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const outputs = await net.model.run(input);
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  net.output = Array.from(outputs[0].toTypedArray());
  for (const tensor of [input, ...outputs]) tensor.delete();
  return [wall, (user + system) / 1000];
}

const nets = [];
for (const file of files) {
  const bytes = new Uint8Array(fs.readFileSync(file));
  const options = { accelerator: "wasm", cpuOptions: { numThreads: 1 } };
  const model = await litert.loadAndCompile(bytes, options);
  const shape = Array.from(model.getInputDetails()[0].shape);
  const size = shape.reduce((a, b) => a * b, 1);
  const x = Float32Array.from({ length: size }, (_, i) => ((i * 7919) % 1e3) / 1e3);
  nets.push({ file, model, shape, x, wall: [], cpu: [] });
}
for (let round = -3; round < Number(rounds); round++) {
  for (const net of nets) {  // The files take turns.
    const [wall, cpu] = await run(net);
    if (round >= 0) {
      net.wall.push(wall);
      net.cpu.push(cpu);
    }
  }
}
for (const { file, wall, cpu, output } of nets) {
  console.log("RESULT " + JSON.stringify({ file, wall, cpu, output }));
}
process.exit(0);
