/** Session: one reader's connection, and the topics that it is on. */

import type { FrameEncoder, Subprotocol } from '../../protocol/codec';
import { encodeTextFrame, SUBPROTOCOL_JSON } from '../../protocol/codec';
import type { ScalesOf } from '../../protocol/json';
import type { Message } from '../../protocol/messages';
import type { TopicState } from './mirror';

/** What a session needs of a WebSocket. */
export interface Socket {
  /** @returns 0 when the data was dropped, since the backlog is past its limit */
  send(data: string | Uint8Array): number;
  subscribe(nativeTopic: string): void;
  unsubscribe(nativeTopic: string): void;
  close(code: number, reason: string): void;
}

/** Sessions of either form encode through these. */
export interface Encoders {
  readonly binary: FrameEncoder;
  readonly scalesOf: ScalesOf;
}

/** The native topic of definitions, which every session is on. */
export const INSTRUMENT_TOPIC = { binary: 'b:instrument', text: 't:instrument' } as const;

export class Session {
  readonly name: string;
  readonly text: boolean;
  /** Topics it is on, with the head that its last heartbeat told. */
  readonly topics = new Map<TopicState, number>();
  /** Channels it is on for every symbol, now and later. */
  readonly wildcards = new Set<string>();
  /** Whose orders it is told of; null when it may not trade. */
  owner: string | null = null;
  /** Symbols of which it was told an execution, and so had the definition. */
  readonly traded = new Set<string>();
  /** Its backlog is past the limit: what was sent last is lost, and the socket is being closed. */
  overrun = false;
  private readonly socket: Socket;
  private readonly encoders: Encoders;

  constructor(name: string, form: Subprotocol, socket: Socket, encoders: Encoders) {
    this.name = name;
    this.text = form === SUBPROTOCOL_JSON;
    this.socket = socket;
    this.encoders = encoders;
    socket.subscribe(this.text ? INSTRUMENT_TOPIC.text : INSTRUMENT_TOPIC.binary);
  }

  send(messages: readonly Message[]): void {
    if (this.overrun) return;
    const { binary, scalesOf } = this.encoders;
    const frame = this.text ? encodeTextFrame(messages, scalesOf) : binary.encode(messages);
    this.overrun = this.socket.send(frame) === 0;
  }

  join(topic: TopicState): void {
    if (this.topics.has(topic)) return;
    this.topics.set(topic, topic.head);
    if (this.text) topic.textSubscribers += 1;
    else topic.binarySubscribers += 1;
    this.socket.subscribe(this.text ? topic.nativeText : topic.nativeBinary);
  }

  leave(topic: TopicState): void {
    if (!this.topics.delete(topic)) return;
    this.forget(topic);
    this.socket.unsubscribe(this.text ? topic.nativeText : topic.nativeBinary);
  }

  /** The connection has gone; the socket has left its native topics by itself. */
  gone(): void {
    for (const topic of this.topics.keys()) this.forget(topic);
    this.topics.clear();
    this.wildcards.clear();
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  private forget(topic: TopicState): void {
    if (this.text) topic.textSubscribers -= 1;
    else topic.binarySubscribers -= 1;
  }
}
