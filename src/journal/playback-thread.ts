/**
 * Playback thread: a worker that reads the journal for replays and resumes. Its argument is the
 * journal's file.
 */

import type { Answer } from './history/messages';
import { PlaybackReader } from './playback/reader';
import { serveReader, reportDamage } from './history/reader-port';

serveReader(new PlaybackReader(process.argv.at(-1)!, { onDamage: reportDamage }), moved);

function moved(answer: Answer): ArrayBuffer[] {
  return answer !== null && 'bytes' in answer ? [answer.bytes.buffer] : [];
}
