/** History thread: a worker around `HistoryReader`, one question after the other. */

import { fault, type Fault } from '../../protocol/codes';
import type { Answers, FromThread, MissingPlaces, Question, ToThread } from './history-messages';
import { HistoryReader } from './history-reader';

interface Port {
  postMessage(message: FromThread): void;
  onmessage: ((event: MessageEvent<ToThread>) => void) | null;
}

const port = globalThis as unknown as Port;
const reader = new HistoryReader(process.argv.at(-1)!);

port.onmessage = ({ data }): void => {
  if (data === 'close') {
    reader.close();
    port.postMessage('closed');
    return;
  }
  port.postMessage({ id: data.id, answer: answer(data.question, data.open) });
};

function answer(question: Question, open: MissingPlaces | null): Answers[Question['kind']] | Fault {
  try {
    return reader.answer(question, open);
  } catch (e) {
    return fault(
      'history-failed',
      `the journal does not read: ${(e as Error).message.slice(0, 120)}`,
    );
  }
}
