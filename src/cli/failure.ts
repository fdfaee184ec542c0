/** Failure: how a command says that it cannot, and with which exit code. */

import { TapedeckError } from '../client/connection';
import { StartFault } from '../base/start-fault';

/** Prints the fault with its hint on standard error and sets the exit code. */
export function fail(fault: StartFault): void {
  process.stderr.write(`tapedeck: ${fault.message} [${fault.code}]\n  ${fault.hint}\n`);
  process.exitCode = fault.exitCode;
}

/** The same, and ends the process at once. */
export function failNow(fault: StartFault): never {
  fail(fault);
  process.exit();
}

/** A client's error as a fault of the command. @throws what is no such error */
export function clientFault(e: unknown): StartFault {
  if (!(e instanceof TapedeckError)) throw e;
  return e.code === 'connection-failed'
    ? new StartFault(
        'connection-failed',
        e.message,
        'Start a server with "tapedeck serve", or give its address with --url or --to.',
      )
    : new StartFault('refused', `${e.message} (${e.code})`, e.hint ?? 'The server refused it.');
}
