/**
 * Log: structured lines on standard error; standard output is for results. Every line passes the redaction, at every
 * level.
 */

import { writeSync } from 'node:fs';
import pino from 'pino';

import { redacted } from './redaction';
import type { Log } from './contract';

const STANDARD_ERROR = 2;
/** How often a slow reader of a pipe is waited for; the server must go on. */
const WAITS_MAX = 10;
const WAIT_MS = 10;

/** @param level least severe line that is written */
export function createLog(level: string): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: {
        logMethod(args, method) {
          method.apply(this, args.map((arg) => redacted(arg)) as typeof args);
        },
      },
    },
    new Lines(),
  );
}

/** Writes lines. Those that cannot be written, for example on a full disk, are counted, and the count is logged later. */
class Lines {
  private dropped = 0;

  write(line: string): void {
    const { dropped } = this;
    const note =
      dropped === 0
        ? ''
        : `${JSON.stringify({ level: 40, msg: 'lines of the log could not be written', dropped })}\n`;
    if (writeWhole(Buffer.from(note + line))) this.dropped = 0;
    else this.dropped += 1;
  }
}

/** @returns whether it was written to its end */
function writeWhole(bytes: Uint8Array): boolean {
  for (let at = 0, waits = 0; at < bytes.length;) {
    try {
      at += writeSync(STANDARD_ERROR, bytes, at);
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code !== 'EAGAIN' || ++waits > WAITS_MAX) return false;
      Bun.sleepSync(WAIT_MS);
    }
  }
  return true;
}
