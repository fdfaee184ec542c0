/**
 * Writes: requests of a member that does not lead to the leader, each with one answer.
 *
 * Each epoch has a subject of its own, which only its leader serves. So a request for one epoch never reaches the
 * leader of another, and nobody serves the subject of a leader that is gone.
 */

import type { Msg } from '@nats-io/transport-node';

import type { NatsLink } from './nats-link';
import { unsubscribe } from './nats-read';

/** What became of a request. */
export type Asked =
  | { readonly outcome: 'answered'; readonly bytes: Uint8Array }
  /** Nobody got the request: it certainly was not carried out. */
  | { readonly outcome: 'nobody'; readonly reason: string }
  /** There was no answer: it may have been carried out, or may still be. */
  | { readonly outcome: 'unknown'; readonly reason: string };

export interface WriteTransport {
  /** Asks the leader of an epoch. Never rejects, and settles within the transport's own time limit. */
  ask(epoch: number, bytes: Uint8Array): Promise<Asked>;
  /** Answers the requests for an epoch. @param handle never rejects @returns what ends that */
  serve(epoch: number, handle: (bytes: Uint8Array) => Promise<Uint8Array>): () => void;
}

/** How long a request waits for its answer. A leader may have to wait while the broker elects. */
const ANSWER_MS = 5_000;

export function writesSubject(shard: string, epoch: number): string {
  return `tdw.${shard}.${epoch}`;
}

/** Of what sources publish at other members. */
export function publishesSubject(shard: string, epoch: number): string {
  return `tdw.${shard}.${epoch}.p`;
}

/** By request and reply of NATS, without JetStream. */
export class NatsWrites implements WriteTransport {
  private readonly link: NatsLink;
  private readonly subjectOf: (epoch: number) => string;

  constructor(link: NatsLink, subjectOf: (epoch: number) => string) {
    this.link = link;
    this.subjectOf = subjectOf;
  }

  async ask(epoch: number, bytes: Uint8Array): Promise<Asked> {
    const { link } = this;
    if (!link.isConnected) return { outcome: 'nobody', reason: 'not connected to NATS' };
    const subject = this.subjectOf(epoch);
    const answer = await link.ask(() => this.request(subject, bytes), ANSWER_MS);
    if (answer.outcome !== 'ok') return { outcome: 'unknown', reason: answer.reason };
    if (answer.value === null) return { outcome: 'nobody', reason: 'nobody serves this epoch' };
    return { outcome: 'answered', bytes: answer.value };
  }

  serve(epoch: number, handle: (bytes: Uint8Array) => Promise<Uint8Array>): () => void {
    const { link } = this;
    const answer = async (message: Msg): Promise<void> => {
      const bytes = await handle(message.data);
      if (!link.nc.isClosed()) message.respond(bytes);
    };
    const subscription = link.nc.subscribe(this.subjectOf(epoch), {
      callback: (error, message) => {
        if (error !== null || message.reply === undefined) return;
        // It does not throw: a fault of this program rejects the promise, and ends the process.
        link.clock.turns.run('cluster', () => void answer(message));
      },
    });
    return () => unsubscribe(link.nc, subscription);
  }

  /** Null: nobody is there to answer. */
  private async request(subject: string, bytes: Uint8Array): Promise<Uint8Array | null> {
    try {
      // The client's own limit is behind that of the link, which also sees a lost connection.
      return (await this.link.nc.request(subject, bytes, { timeout: ANSWER_MS * 2 })).data;
    } catch (e) {
      if (isNobody(e)) return null;
      throw e;
    }
  }
}

function isNobody(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const cause = error.cause instanceof Error ? error.cause.name : '';
  return error.name === 'NoResponders' || cause === 'NoResponders';
}
