/**
 * Reader port: how the main thread asks a thread that reads the journal. An answer may be made in
 * parts. After each part a long question goes after the others, so that it does not delay a short
 * one. Bounded: by the number of questions that the caller has under way.
 */

import { setPriority } from 'node:os';

import { fault, type Fault } from '../../../protocol/codes';
import type { MissingRange } from '../../base/contracts/past';
import type { Answer, FromThread, Question, ToThread } from './messages';

interface Port {
  postMessage(message: FromThread, transfer?: ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent<ToThread>) => void) | null;
}

/** An answer in the making; each step makes a part of it. */
type Work = Generator<undefined, Answer>;

/** Answers the questions on the thread. */
export interface JournalReader<Q extends Question> {
  /** @throws Error when the journal cannot be read */
  answer(question: Q, open: MissingRange | null): Answer;
  /** The same in parts, for questions that may take long. */
  work?(question: Q, open: MissingRange | null): Work;
  close(): void;
}

/**
 * Niceness of these threads, of at most 19. A caller that asks for the past can wait. Live readers
 * and the journal's writer must not wait for it.
 */
const NICE = 10;

/** Linux sets the priority of the calling thread; other systems set that of the whole process. */
function standBack(): void {
  if (process.platform === 'linux') setPriority(0, NICE);
}

/** Reports a block that is not sound to the main thread. */
export function reportDamage(damaged: MissingRange): void {
  const port = globalThis as unknown as Port;
  port.postMessage({ damaged }, []);
}

/**
 * Serves the questions of the main thread.
 * @param moved the parts of an answer that are moved, not copied
 */
export function serveReader<Q extends Question>(
  reader: JournalReader<Q>,
  moved: (answer: Answer) => ArrayBuffer[] = () => [],
): void {
  standBack();
  const port = globalThis as unknown as Port;
  const post = (id: number, answer: Answer): void => {
    port.postMessage({ id, answer }, moved(answer));
  };
  const turns = new Turns(post);
  port.onmessage = ({ data }): void => {
    if (data === 'close') {
      turns.end(); // the callers are notified that the server shuts down
      reader.close();
      port.postMessage('closed');
      return;
    }
    const { id, question, open } = data;
    if (reader.work !== undefined) turns.begin(id, reader.work(question as Q, open));
    else
      post(
        id,
        answered(() => reader.answer(question as Q, open)),
      );
  };
}

/** Answers in parts, one part of each in rotation. */
class Turns {
  private readonly post: (id: number, answer: Answer) => void;
  private readonly underWay: { readonly id: number; readonly work: Work }[] = [];
  private isPlanned = false;

  constructor(post: (id: number, answer: Answer) => void) {
    this.post = post;
  }

  /** Makes the first part at once, since most answers have no other. */
  begin(id: number, work: Work): void {
    const part = answered(() => work.next());
    if ('code' in part) this.post(id, part);
    else if (part.done === true) this.post(id, part.value);
    else this.underWay.push({ id, work });
    this.plan();
  }

  end(): void {
    this.underWay.length = 0;
  }

  /** Takes the messages that have arrived before the next part. */
  private plan(): void {
    if (this.isPlanned || this.underWay.length === 0) return;
    this.isPlanned = true;
    setImmediate(() => {
      this.isPlanned = false;
      const first = this.underWay.shift();
      if (first !== undefined) this.begin(first.id, first.work);
    });
  }
}

function answered<T>(read: () => T): T | Fault {
  try {
    return read();
  } catch (e) {
    const message = `the journal does not read: ${(e as Error).message.slice(0, 120)}`;
    return fault('history-failed', message);
  }
}
