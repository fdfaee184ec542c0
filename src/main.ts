#!/usr/bin/env bun
/** Main: runs the command line, and gives its exit code. */

import { CommanderError } from 'commander';

import { endOnDefects, endWithOutput } from './cli/failure';
import { createProgram } from './cli/program';

endOnDefects();
endWithOutput();
try {
  await createProgram().parseAsync(process.argv);
} catch (e) {
  if (!(e instanceof CommanderError)) throw e;
  // Help and version are no failures; everything else is a mistake in the call.
  process.exitCode = e.exitCode === 0 ? 0 : 64;
}
