/** Verify thread: a worker that checks stretches of a journal, one after another. */

import type { Database } from 'bun:sqlite';

import { connectToRead } from './read-connection';
import type { FromVerifier, Task, ToVerifier, VerifierSettings } from './verify/messages';
import { StretchCheck } from './verify/stretch';
import { structureFault } from './verify/structure';

interface Port {
  onmessage: ((event: MessageEvent<ToVerifier>) => void) | null;
  postMessage(message: FromVerifier): void;
}

const port = globalThis as unknown as Port;

class Verifier {
  private readonly path: string;
  private readonly db: Database;
  private readonly check: StretchCheck;

  constructor({ path, instruments }: VerifierSettings) {
    this.path = path;
    this.db = connectToRead(path);
    this.check = new StretchCheck(this.db, instruments);
  }

  run(task: Task): FromVerifier {
    if (task === 'structure') return { task, fault: structureFault(this.db, this.path) };
    return { task, found: this.check.run(task) };
  }
}

/** The first message opens the journal; the others are tasks. */
port.onmessage = ({ data: first }): void => {
  if (!('open' in first)) throw new Error('a task before the journal is open');
  const verifier = new Verifier(first.open);
  port.onmessage = ({ data }): void => {
    if ('task' in data) port.postMessage(verifier.run(data.task));
  };
};
