/** Reader port: how a thread that reads the journal is asked, one question after the other. */

import { setPriority } from 'node:os';

import { fault } from '../../protocol/codes';
import type { Answer, FromThread, MissingPlaces, Question, ToThread } from './history-messages';

interface Port {
  postMessage(message: FromThread, transfer?: ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent<ToThread>) => void) | null;
}

/** What answers on the thread. */
export interface JournalReader<Q extends Question> {
  /** @throws Error when the journal does not read */
  answer(question: Q, open: MissingPlaces | null): Answer;
  close(): void;
}

/**
 * Of 19: how far these threads stand back. Who asks for the past waits for it; who reads live, and the
 * journal, wait for nobody.
 */
const NICE = 10;

/** On Linux a priority is that of the calling thread; elsewhere it would be that of the whole process. */
function standBack(): void {
  if (process.platform === 'linux') setPriority(0, NICE);
}

/** Serves what the main thread asks. @param moved what of an answer need not be copied */
export function serveReader<Q extends Question>(
  reader: JournalReader<Q>,
  moved: (answer: Answer) => ArrayBuffer[] = () => [],
): void {
  standBack();
  const port = globalThis as unknown as Port;
  port.onmessage = ({ data }): void => {
    if (data === 'close') {
      reader.close();
      port.postMessage('closed');
      return;
    }
    const { id, question, open } = data;
    const answer = answered(() => reader.answer(question as Q, open));
    port.postMessage({ id, answer }, moved(answer));
  };
}

function answered(read: () => Answer): Answer {
  try {
    return read();
  } catch (e) {
    const message = `the journal does not read: ${(e as Error).message.slice(0, 120)}`;
    return fault('history-failed', message);
  }
}
