/**
 * Direct get: reads a range of a stream from any replica, without a consumer. The answer is one message a frame and a
 * last one with a status.
 */

import {
  createInbox,
  type Msg,
  type NatsConnection,
  type Subscription,
} from '@nats-io/transport-node';

import type { Answer, StoredFrame } from './broker';
import type { NatsLink } from './nats-link';

const END_OF_BATCH = 204;
const NOT_FOUND = 404;

/** The frame in a message that the broker stored; undefined: its headers do not say where it is stored. */
export function storedFrame(message: Msg): StoredFrame | undefined {
  const sequence = Number(message.headers?.get('Nats-Sequence'));
  if (!Number.isSafeInteger(sequence) || sequence <= 0) return undefined;
  const id = message.headers?.get('Nats-Msg-Id') ?? '';
  // A copy: the client's buffer holds what else came with it.
  return { sequence, id, bytes: message.data.slice() };
}

/** The prefix of the API of JetStream in a domain; empty: the one where the client is connected. */
export function apiOf(domain: string): string {
  return domain === '' ? '$JS.API' : `$JS.${domain}.API`;
}

/** Also when the connection has ended with all of its subscriptions. */
export function unsubscribe(nc: NatsConnection, subscription: Subscription): void {
  if (!nc.isClosed()) subscription.unsubscribe();
}

interface Range {
  readonly seq: number;
  readonly batch: number;
  readonly max_bytes: number;
}

export function readRange(
  link: NatsLink,
  stream: string,
  range: Range,
  domain = '',
): Promise<Answer<StoredFrame[]>> {
  const { nc } = link;
  let stop = (): void => {};
  const answer = link.ask(
    () =>
      new Promise<StoredFrame[]>((resolve, reject) => {
        const frames: StoredFrame[] = [];
        const inbox = createInbox();
        const subscription = nc.subscribe(inbox, {
          callback: (error, message) => {
            if (error !== null) return reject(error);
            const code = message.headers?.code ?? 0;
            if (code === END_OF_BATCH || code === NOT_FOUND) return resolve(frames);
            if (code !== 0) {
              const { description } = message.headers!;
              return reject(new Error(code === 503 ? 'no replica answers' : description));
            }
            const frame = storedFrame(message);
            if (frame === undefined) reject(new Error('a stored message without its sequence'));
            else frames.push(frame);
          },
        });
        stop = () => unsubscribe(nc, subscription);
        nc.publish(`${apiOf(domain)}.DIRECT.GET.${stream}`, JSON.stringify(range), {
          reply: inbox,
        });
      }),
  );
  return answer.finally(() => stop());
}
