/** Program: the command line as a whole. Each command is a file beside this one. */

import { Command } from 'commander';

import { VERSION } from '../version';
import { bookCommand } from './book';
import { cancelOrdersCommand } from './cancel-orders';
import { completeCommand, completionCommand } from './completion';
import { configCommand } from './config';
import { exportCommand } from './export';
import { importCommand } from './import';
import { keysCommand } from './keys';
import { serveCommand } from './serve';
import { tailCommand } from './tail';
import { verifyCommand } from './verify';

export function createProgram(): Command {
  const program = new Command('tapedeck')
    .description('Records a market, serves it, publishes it and replays it.')
    .version(VERSION)
    .configureHelp({ showGlobalOptions: true })
    .addCommand(serveCommand())
    .addCommand(importCommand())
    .addCommand(tailCommand())
    .addCommand(bookCommand())
    .addCommand(exportCommand())
    .addCommand(verifyCommand())
    .addCommand(keysCommand())
    .addCommand(cancelOrdersCommand())
    .addCommand(configCommand())
    .addCommand(completionCommand())
    .addCommand(completeCommand(), { hidden: true });
  return saysWhatIsWrong(program);
}

/** For every command: a usage error is thrown, and reported with how to get help. */
function saysWhatIsWrong(command: Command): Command {
  for (const inner of command.commands) saysWhatIsWrong(inner);
  return command.exitOverride().showHelpAfterError('(--help explains the command)');
}
