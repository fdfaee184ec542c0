/** Log: structured lines on standard error, so that standard output stays for what was asked for. */

import pino from 'pino';

import type { Log } from './server';

/** @param level least severe line that is written */
export function createLog(level: string): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: ['key', 'secret', '*.key', '*.secret'],
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
