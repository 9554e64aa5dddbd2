// Images of seeds from a model that `fastgan export --onnx` wrote: a whole client in JavaScript, without Python.
//
//   npm ci
//   node generate.mjs model.onnx --seeds 0-7,2000 -o out
//   node generate.mjs faces.onnx --seeds 3 --class truck --attrs smiling=1,age=0.3 --truncation 0.7 -o out
//
// Writes out/seed00000003.png, ...: the pixels that `fastgan generate model.onnx` writes for that seed, to one grey level.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encode } from 'fast-png';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { latents } from './latents.mjs';
import { metadata, withoutDefaults } from './onnx_file.mjs';

const BATCH = 16;

class UserError extends Error {}

/** "0-7,2000" -> BigInt seeds. */
function parseSeeds(spec) {
  return spec.split(',').flatMap((part) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    if (!match) throw new UserError(`--seeds ${spec}: ${part} is not a seed or a range; write it like 0-999,2000.`);
    const [first, last] = [BigInt(match[1]), BigInt(match[2] ?? match[1])];
    if (last >= 1n << 64n || last < first || last - first > 10_000_000n)
      throw new UserError(`--seeds ${spec}: ${part} is out of range.`);
    return Array.from({ length: Number(last - first) + 1 }, (_, k) => first + BigInt(k));
  });
}

function indexOf(name, names, what) {
  const index = names.indexOf(name);
  if (index < 0) throw new UserError(`the model has no ${what} ${name}: it has ${names.join(', ') || 'none'}.`);
  return index;
}

/** What the model is told beside z, of which every seed gets the same: { label, attributes }, as far as it takes them. */
function conditions(facts, options) {
  const asked = {};
  if (facts.classNames.length) {
    if (options.class === undefined) throw new UserError(`give --class, one of ${facts.classNames.join(', ')}.`);
    asked.label = indexOf(options.class, facts.classNames, 'class');
  } else if (options.class !== undefined) indexOf(options.class, [], 'class');
  if (facts.attributeNames.length || options.attrs) {
    asked.attributes = facts.attributeNames.map(() => NaN); // unknown, unless named
    for (const part of options.attrs?.split(',') ?? []) {
      const [name, value] = part.split('=');
      asked.attributes[indexOf(name, facts.attributeNames, 'attribute')] = Number(value);
    }
  }
  return asked;
}

/** The inputs of one run: z [n, zDim], label [n], attributes [n, A], and those of the truncation that is asked for. */
function feed(seeds, facts, asked, truncation) {
  const n = seeds.length;
  const inputs = { z: new Tensor('float32', latents(seeds, facts.zDim), [n, facts.zDim]) };
  if (asked.label !== undefined) inputs.label = new Tensor('int64', new BigInt64Array(n).fill(BigInt(asked.label)), [n]);
  if (asked.attributes) {
    const row = asked.attributes;
    inputs.attributes = new Tensor('float32', Float32Array.from(seeds.flatMap(() => row)), [n, row.length]);
  }
  if ('truncation_psi' in truncation) inputs.truncation_psi = new Tensor('float32', [truncation.truncation_psi], []);
  if ('truncation_cutoff' in truncation)
    inputs.truncation_cutoff = new Tensor('int64', [BigInt(truncation.truncation_cutoff)], []);
  return inputs;
}

/** Pixels uint8 [n, H, W, C] of the graph's output: those themselves, or float32 [n, C, H, W] about [-1, 1]. */
function pixels(images) {
  if (images.type === 'uint8') return images.data;
  const [n, channels, height, width] = images.dims;
  const plane = height * width;
  const out = new Uint8ClampedArray(n * plane * channels); // a store clamps to 0..255 and rounds halves to even
  for (let i = 0; i < n; i++)
    for (let c = 0; c < channels; c++)
      for (let p = 0; p < plane; p++) {
        const value = images.data[(i * channels + c) * plane + p];
        out[(i * plane + p) * channels + c] = Math.fround(Math.fround(value * 127.5) + 127.5);
      }
  return out;
}

async function main() {
  const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: 'string', default: '0' },
      class: { type: 'string' },
      attrs: { type: 'string' },
      truncation: { type: 'string' },
      'truncation-cutoff': { type: 'string' },
      out: { type: 'string', short: 'o', default: 'generated' },
    },
  });
  if (positionals.length !== 1) throw new UserError('usage: node generate.mjs MODEL.onnx [--seeds 0-7] [-o OUT]');
  const model = await readFile(positionals[0]).catch((error) => {
    throw new UserError(`${positionals[0]} cannot be read (${error.code}).`);
  });
  const known = metadata(model);
  if (!('fastgan.version' in known)) throw new UserError(`${positionals[0]} is no model that fastgan exported.`);
  const facts = {
    zDim: Number(known['fastgan.z_dim']),
    resolution: Number(known['fastgan.resolution']),
    channels: Number(known['fastgan.img_channels']),
    classNames: JSON.parse(known['fastgan.class_names'] ?? '[]'),
    attributeNames: JSON.parse(known['fastgan.attribute_names'] ?? '[]'),
  };
  const truncation = {};
  if (options.truncation !== undefined) truncation.truncation_psi = Number(options.truncation);
  if (options['truncation-cutoff'] !== undefined) truncation.truncation_cutoff = Number(options['truncation-cutoff']);
  if (Object.keys(truncation).length && known['fastgan.has_truncation'] !== 'true')
    throw new UserError('the model has no truncation.');

  const seeds = parseSeeds(options.seeds);
  const asked = conditions(facts, options);
  const session = await InferenceSession.create(withoutDefaults(model, Object.keys(truncation)), { logSeverityLevel: 3 });
  await mkdir(options.out, { recursive: true });
  const { resolution: side, channels } = facts;
  for (let start = 0; start < seeds.length; start += BATCH) {
    const part = seeds.slice(start, start + BATCH);
    const { images } = await session.run(feed(part, facts, asked, truncation));
    const data = pixels(images);
    for (const [k, seed] of part.entries()) {
      const image = data.subarray(k * side * side * channels, (k + 1) * side * side * channels);
      const png = encode({ width: side, height: side, channels, depth: 8, data: image });
      await writeFile(join(options.out, `seed${String(seed).padStart(8, '0')}.png`), png);
    }
  }
}

main().catch((error) => {
  if (!(error instanceof UserError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 2;
});
