/**
 * Fuzz, run by hand: `bun test/attack/fuzz.ts [--frames 1000000] [--seed N] [--form msgpack|json] [--part
 * codec|stream]`. It prints the seed, the rate and the outcomes of the frames, and ends with 1 at the first fault,
 * which it reports with its seed and number. Tests run the same at a small size.
 */

import { parseArgs } from 'node:util';

import { readSeed } from '../support/seed';
import { fuzzCodec, type Form, type Outcomes } from './codec-fuzz';
import { fuzzStream } from './stream-fuzz';

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '1000000' },
    seed: { type: 'string' },
    form: { type: 'string' },
    part: { type: 'string' },
  },
});
const seed = values.seed === undefined ? readSeed() : Number(values.seed);
const frames = Number(values.frames);
const forms = (['msgpack', 'json'] as const).filter(
  (form) => values.form === undefined || values.form === form,
);
const STEP = 50_000;

console.log(`seed ${seed}, ${frames} frames, ${forms.join(' and ')}`);
if (values.part !== 'stream') for (const form of forms) codec(form);
if (values.part !== 'codec') await stream();

function codec(form: Form): void {
  const startMs = performance.now();
  const sum: Outcomes = {};
  for (let from = 0; from < frames; from += STEP) {
    const outcomes = fuzzCodec(form, seed, from, Math.min(STEP, frames - from));
    for (const [name, count] of Object.entries(outcomes)) sum[name] = (sum[name] ?? 0) + count;
    progress(`codec, ${form}: ${from + STEP}`);
  }
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`codec, ${form}: ${frames} frames, ${(frames / seconds).toFixed(0)} a second`, sum);
}

async function stream(): Promise<void> {
  const result = await fuzzStream(forms, seed, frames, (tally) =>
    progress(`stream: ${tally.frames} frames, ${tally.connections} connections`),
  );
  const { complaints, seconds, ...figures } = result;
  console.log(`stream: ${(result.frames / seconds).toFixed(0)} frames a second`, figures);
  for (const complaint of complaints) console.log(complaint);
  if (complaints.length > 0) process.exitCode = 1;
}

function progress(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r${text}   `);
}
