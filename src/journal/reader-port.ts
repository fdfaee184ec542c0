/**
 * Reader port: how a thread that reads the journal is asked. An answer may come in parts: a question that
 * takes long is put behind the others after each of them, so that it does not hold up a short one.
 * Bounded: by the questions that who asks has under way.
 */

import { setPriority } from 'node:os';

import { fault, type Fault } from '../../protocol/codes';
import type { MissingRange } from '../base/contracts/past';
import type { Answer, FromThread, Question, ToThread } from './history/messages';

interface Port {
  postMessage(message: FromThread, transfer?: ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent<ToThread>) => void) | null;
}

/** An answer in the making; each step is a part of it. */
type Work = Generator<undefined, Answer>;

/** What answers on the thread. */
export interface JournalReader<Q extends Question> {
  /** @throws Error when the journal does not read */
  answer(question: Q, open: MissingRange | null): Answer;
  /** The same in parts, where it may take long. */
  work?(question: Q, open: MissingRange | null): Work;
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

/** Tells the main thread of a block that is not sound. */
export function reportDamage(damaged: MissingRange): void {
  const port = globalThis as unknown as Port;
  port.postMessage({ damaged }, []);
}

/** Serves what the main thread asks. @param moved what of an answer need not be copied */
export function serveReader<Q extends Question>(
  reader: JournalReader<Q>,
  moved: (answer: Answer) => ArrayBuffer[] = () => [],
): void {
  standBack();
  const port = globalThis as unknown as Port;
  const tell = (id: number, answer: Answer): void => {
    port.postMessage({ id, answer }, moved(answer));
  };
  const turns = new Turns(tell);
  port.onmessage = ({ data }): void => {
    if (data === 'close') {
      turns.end(); // who asked is told that the server shuts down
      reader.close();
      port.postMessage('closed');
      return;
    }
    const { id, question, open } = data;
    if (reader.work !== undefined) turns.begin(id, reader.work(question as Q, open));
    else
      tell(
        id,
        answered(() => reader.answer(question as Q, open)),
      );
  };
}

/** Answers that come in parts, one part of each in turn. */
class Turns {
  private readonly tell: (id: number, answer: Answer) => void;
  private readonly underWay: { readonly id: number; readonly work: Work }[] = [];
  private isPlanned = false;

  constructor(tell: (id: number, answer: Answer) => void) {
    this.tell = tell;
  }

  /** The first part at once, as most have no other. */
  begin(id: number, work: Work): void {
    const part = answered(() => work.next());
    if ('code' in part) this.tell(id, part);
    else if (part.done === true) this.tell(id, part.value);
    else this.underWay.push({ id, work });
    this.plan();
  }

  end(): void {
    this.underWay.length = 0;
  }

  /** Messages that have come are taken before the next part. */
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
