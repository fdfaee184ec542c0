/** Reads a recording in its own process and prints how much its memory grew. */

import { openRecording } from '../../src/ingest/recording/recording';

const recording = await openRecording(process.argv[2]!);
if ('code' in recording) throw new Error(recording.message);
Bun.gc(true);
const before = process.memoryUsage.rss();
let most = before;
const sample = (): void => {
  most = Math.max(most, process.memoryUsage.rss());
};
const sampling = setInterval(sample, 1);
for await (const batch of recording) if (batch.records.length > 0) sample();
clearInterval(sampling);
sample();
const { lines, refused } = recording.progress();
console.log(JSON.stringify({ lines, refused, grownBytes: most - before }));
