/** Failure: how a command reports a failure, and with which exit code. */

import { TapedeckError } from '../client/connection';
import { StartFault } from '../base/start-fault';
import { hintOf } from './hints';

const DEFECT = 70;

/** A fault that does not stop a command. */
export interface Warning {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Prints it with its hint on standard error. */
export function warn({ code, message, hint }: Warning): void {
  process.stderr.write(`tapedeck: ${message} [${code}]\n  ${hint}\n`);
}

/** Prints the fault with its hint on standard error and sets the exit code. */
export function fail(fault: StartFault): void {
  warn(fault);
  process.exitCode = fault.exitCode;
}

/** The same, and ends the process at once. */
export function failNow(fault: StartFault): never {
  fail(fault);
  process.exit();
}

/** Ends the process at once, with the stack of an unexpected error. */
export function defect(error: unknown): never {
  process.stderr.write(`tapedeck: a defect of the program\n${Bun.inspect(error)}\n`);
  process.exit(DEFECT);
}

/** From here on, an uncaught error is a defect. */
export function endOnDefects(): void {
  process.on('uncaughtException', defect);
  process.on('unhandledRejection', defect);
}

/** From here on, output that can no longer be written ends the command: silently if its reader closed it. */
export function endWithOutput(): void {
  process.stdout.on('error', onOutputLost);
  process.stderr.on('error', () => {}); // there is no reader to report it to
}

function onOutputLost(e: NodeJS.ErrnoException): never {
  if (e.code === 'EPIPE') process.exit(0);
  const message = `standard output cannot be written: ${e.message}`;
  const hint = 'The output is incomplete. Free some space, or write somewhere else.';
  return failNow(new StartFault('output-unwritable', message, hint));
}

/** For a command that does more than print: it continues when its output is closed. */
export function outliveOutput(onLost: (reason: string) => void): void {
  process.stdout.off('error', onOutputLost);
  process.stdout.on('error', (e) => onLost(e.message));
}

/** A client's error as a fault of the command. @throws any other error */
export function clientFault(e: unknown): StartFault {
  if (!(e instanceof TapedeckError)) throw e;
  return e.code === 'connection-failed'
    ? new StartFault(
        'connection-failed',
        e.message,
        'Start a server with "tapedeck serve", or give its address with --url or --to.',
      )
    : new StartFault('refused', `${e.message} (${e.code})`, hintOf(e.code, e.hint));
}
