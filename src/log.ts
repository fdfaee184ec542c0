/**
 * Log: structured lines on standard error, so that standard output stays for what was asked for. Whatever
 * is logged passes the redaction, at every level.
 */

import pino from 'pino';

import { redacted } from './redaction';
import type { Log } from './server';

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
    pino.destination({ dest: 2, sync: true }),
  );
}
