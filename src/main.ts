#!/usr/bin/env bun
/** Main: the command line. Each command is a file in `cli/`. */

import { Command, CommanderError } from 'commander';

import { bookCommand } from './cli/book';
import { completionCommand } from './cli/completion';
import { configCommand } from './cli/config';
import { exportCommand } from './cli/export';
import { endOnDefects, endWithOutput } from './cli/failure';
import { keysCommand } from './cli/keys';
import { replayCommand } from './cli/replay';
import { serveCommand } from './cli/serve';
import { tailCommand } from './cli/tail';
import { verifyCommand } from './cli/verify';
import { VERSION } from './version';

const program = new Command('tapedeck')
  .description('Records a market, serves it, pushes it and plays it back.')
  .version(VERSION)
  .showHelpAfterError('(add --help for how to use it)')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride()
  .addCommand(serveCommand())
  .addCommand(replayCommand())
  .addCommand(tailCommand())
  .addCommand(bookCommand())
  .addCommand(exportCommand())
  .addCommand(verifyCommand())
  .addCommand(keysCommand())
  .addCommand(configCommand())
  .addCommand(completionCommand());
for (const command of program.commands) {
  command.exitOverride().showHelpAfterError('(add --help for how to use it)');
}

endOnDefects();
endWithOutput();
try {
  await program.parseAsync(process.argv);
} catch (e) {
  if (!(e instanceof CommanderError)) throw e;
  // Help and version are no failures; everything else is a mistake in the call.
  process.exitCode = e.exitCode === 0 ? 0 : 64;
}
