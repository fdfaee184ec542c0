/**
 * Stream: one WebSocket connection from its upgrade to its end: the client's messages and the answers.
 *
 * The connection object is the `data` of Bun's socket. Elysia's server passes the socket events directly to
 * it (`open`, `message`, `close` of `ws.data`), so a message passes through no wrapper.
 * Bounded: frame size, messages per frame, faults before the connection is closed.
 */

import type { ServerWebSocket } from 'bun';

import { ackOf } from '../../../protocol/answers';
import { FRAME_MESSAGES_MAX, isFault, type Subprotocol } from '../../../protocol/codec';
import {
  CLOSES,
  fault,
  fieldFault,
  within,
  type CloseReason,
  type Fault,
} from '../../../protocol/codes';
import type { Message, MessageOf } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import type { ScalesOf } from '../../../protocol/units';
import { mayNot, publishFault, type Lapse, type Principal } from '../auth/principal';
import { Authority, FORMER_MAX } from '../auth/authority';
import type { SessionFigures } from '../../base/contracts/figures';
import type { OpenConnection } from './connections';
import { eventBytes } from '../../base/event-bytes';
import { Intake, type Asked } from './intake';
import { tooManyOfKey } from '../auth/limits';
import { ORDERED, OrderedRequests } from './ordered-requests';
import { ConnectionCounts, type ReceivedCounts } from './counts';
import type { StreamHub, StreamSession } from './hub';
import { Offers } from './offers';
import { clientAt } from '../auth/addresses';
import { command, commandFault, type OrderMessage } from './orders';
import { errorOf, VERSION, welcome } from './messages';

/** Number of errors after which a connection is closed. */
export const FAULTS_MAX = 100;
/** A client that floods the server is asked to wait this long before it reconnects. */
const FLOOD_RETRY_MS = 1_000;
/** Messages that may wait while a token is checked, which takes less than a millisecond. */
const UNPROVEN_MAX = FRAME_MESSAGES_MAX;
/** Messages that need the role `read`. */
const READS: ReadonlySet<string> = new Set(['subscribe', 'resume', 'replay']);

type Phase<S> =
  | { readonly is: 'opening' }
  | { readonly is: 'open'; readonly session: S; readonly source: number }
  | { readonly is: 'closed' };

export class StreamConnection<S extends StreamSession> implements OpenConnection {
  name = '';
  client: string | null = null;
  address = '';
  connectedAt = Nanos.ZERO;
  private readonly hub: StreamHub<S>;
  readonly form: Subprotocol;
  private readonly authority: Authority;
  private phase: Phase<S> = { is: 'opening' };
  private socket: ServerWebSocket<unknown> | undefined;
  private faults = 0;
  private readonly counts: ConnectionCounts;
  readonly intake: Intake;
  /** Messages received while a token is being checked; null when no check is under way. */
  private unproven: Asked[] | null = null;
  private readonly ordered: OrderedRequests;
  /** Definitions that this client has published and that the market has not processed yet. */
  private readonly offers = new Offers();
  /** Includes offered definitions, so a source can use a definition before it is acknowledged. */
  readonly scalesOf: ScalesOf = (symbol) => this.hub.scalesOf(symbol) ?? this.offers.get(symbol);

  constructor(hub: StreamHub<S>, form: Subprotocol, principal: Principal) {
    this.hub = hub;
    this.form = form;
    this.authority = new Authority(principal);
    this.counts = new ConnectionCounts(hub.counts);
    this.intake = new Intake(hub, this);
    this.ordered = new OrderedRequests(
      hub.limits,
      (m) => this.isServed() && this.do(this.socket!, m),
    );
  }

  open(ws: ServerWebSocket<unknown>): void {
    const { hub } = this;
    this.socket = ws;
    const { session, source } = hub.enter(ws, this.form);
    this.phase = { is: 'open', session, source };
    this.ordered.meter = session.meter;
    this.intake.open(ws, session.meter);
    this.name = session.name;
    this.address = ws.remoteAddress ?? ''; // empty if the client has disconnected already
    if (hub.connections.hasFlooded(this.address)) this.intake.suspect();
    this.connectedAt = hub.clock.now();
    hub.connections.add(this);
    hub.counts.opened += 1;
    this.identify(this.principal, session);
    session.send([welcome(hub, session.name)]);
  }

  message(ws: ServerWebSocket<unknown>, data: string | Uint8Array): void {
    if (this.phase.is !== 'open') return;
    const bytes = typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength;
    this.counts.frame(bytes);
    const { frameBytesMax: most } = this.hub.limits;
    if (bytes > most) {
      this.refuse(null, fault('frame-too-large', `a frame of ${bytes} bytes; at most ${most}`));
      return this.end(ws, 'frame-too-large');
    }
    this.intake.frame(data, bytes);
  }

  /** For the intake only: number of messages that were decoded. */
  counted(messages: number): void {
    this.counts.messages(messages);
  }

  /** For the intake only. */
  handle(asked: Asked): void {
    // An earlier message may have ended the connection, or requested more data than the client reads.
    if (!this.isServed()) return;
    if (this.unproven !== null) this.holdBack(asked);
    else if ('over' in asked) this.tell(asked.id, asked.over);
    else if (isFault(asked)) this.refuse(asked.id ?? null, asked);
    else this.do(this.socket!, asked);
  }

  /** For the intake only: a definition is known to the messages behind it, even before it is processed. */
  foresee(asked: Asked): void {
    if ('type' in asked && asked.type === 'publish') this.offers.add(asked);
  }

  /** For the intake only: closes a client that ignores refusals, and asks it to reconnect later. */
  flooded(id: number | null, over: Fault): void {
    this.tell(id, over);
    this.hub.connections.noteFlood(this.address);
    this.end(this.socket!, 'limit-reached', FLOOD_RETRY_MS);
  }

  /**
   * The client has read everything before one of our pings. A pong that answers none of them is only
   * counted.
   */
  pong(ws: ServerWebSocket<unknown>, payload: Uint8Array): void {
    if (this.phase.is !== 'open') return;
    const { session, source } = this.phase;
    const isOurs = this.hub.pong(session, source, payload);
    if (!isOurs) this.intake.controlFrame(ws.getBufferedAmount(), session.meter);
  }

  close(_ws: ServerWebSocket<unknown>, code: number): void {
    this.leave({ code });
  }

  private leave(detail: { readonly code: number; readonly reason?: CloseReason }): void {
    if (this.phase.is !== 'open') return;
    const { session, source } = this.phase;
    this.intake.clear();
    this.phase = { is: 'closed' };
    this.hub.leave(session, source);
    this.hub.connections.delete(session.name);
    this.hub.counts.closed(detail.code);
    this.hub.note(session.name, 'closed', detail);
  }

  get principal(): Principal {
    return this.authority.principal;
  }

  lapsed(): Lapse | undefined {
    return this.authority.lapsed();
  }

  get key(): string | null {
    return this.principal.name === this.hub.keys.anonymous.name ? null : this.principal.name;
  }

  /** Figures of an open connection; the register holds only open ones. */
  get figures(): SessionFigures {
    if (this.phase.is !== 'open') throw new Error(`the session ${this.name} is not open`);
    return this.phase.session.state;
  }

  get received(): ReceivedCounts {
    return this.counts.received;
  }

  topicNames(most: number): string[] {
    const names: string[] = [];
    for (const { name } of this.phase.is === 'open' ? this.phase.session.topics.keys() : []) {
      if (names.push(name) === most) break;
    }
    return names;
  }

  shut(reason: CloseReason): void {
    if (this.socket !== undefined) this.end(this.socket, reason);
  }

  private holdBack(asked: Asked): void {
    this.foresee(asked);
    if (this.unproven!.push(asked) <= UNPROVEN_MAX) return;
    this.refuse(null, fault('overloaded', 'too many messages before the token was checked'));
    this.end(this.socket!, 'protocol-error');
  }

  isServed(): boolean {
    return this.phase.is === 'open' && !this.phase.session.overrun;
  }

  private do(ws: ServerWebSocket<unknown>, m: Message): void {
    if (this.phase.is !== 'open') return;
    const { session, source } = this.phase;
    if ('id' in m && m.type !== 'ping') this.authority.ask();
    const unable = READS.has(m.type) ? mayNot(this.principal, 'read') : undefined;
    if (unable !== undefined) return this.refuse(idOf(m), unable);
    if (this.ordered.isHolding && ORDERED.has(m.type)) {
      return this.answer(idOf(m), this.ordered.hold(m));
    }
    switch (m.type) {
      case 'hello':
        return this.hello(ws, m, session);
      case 'ping':
        session.send([{ type: 'pong', id: m.id, time: m.time, serverTime: this.hub.clock.now() }]);
        return;
      case 'subscribe':
      case 'unsubscribe':
        return this.changeTopics(m, session);
      case 'publish':
        return this.publish(m, session, source);
      case 'received':
        return;
      case 'order':
      case 'cancel':
      case 'amend':
        return void this.trade(m);
      case 'resume':
        return this.resume(m, session);
      case 'replay':
        return this.answer(m.id, this.hub.replay(session, m));
      default:
        this.refuse(null, fault('unexpected-message', `${m.type} goes from server to client`));
    }
  }

  private changeTopics(m: MessageOf<'subscribe'> | MessageOf<'unsubscribe'>, session: S): void {
    const { hub, ordered } = this;
    this.intake.topics(m.topics);
    ordered.begin();
    const done = (): void => ordered.end();
    const left = (): void => {
      if (this.phase.is === 'open') session.send([hub.numberings.ack(m.id)]);
      done();
    };
    const refused =
      m.type === 'subscribe'
        ? hub.subscribe(session, m.id, m.topics, m.intervalMs ?? 0, done)
        : hub.unsubscribe(session, m.topics, left);
    if (refused === undefined) return;
    this.refuse(m.id, within(m.type, refused));
    done();
  }

  private resume(m: MessageOf<'resume'>, session: S): void {
    this.intake.topics(m.topics);
    this.ordered.begin();
    this.hub.resume(session, m, (refused) => {
      this.answer(m.id, refused && within('resume', refused));
      this.ordered.end();
    });
  }

  /** Acknowledged when journaled. The outcome of the order follows as executions. */
  private async trade(m: OrderMessage): Promise<void> {
    const refused = commandFault(this.principal, m);
    if (refused !== undefined) return this.refuse(m.id, refused);
    const outcome = await command(this.hub.orders, this.principal, m);
    if (this.phase.is === 'open') this.hub.settle(this.phase.session);
    if ('code' in outcome) this.tell(m.id, outcome);
    else this.ack(m.id, outcome.seq);
  }

  /** Sets the principal, and with it whose orders the session is notified of. */
  private identify(principal: Principal, session: S): void {
    this.authority.become(principal);
    session.meter.moveTo(this.key ?? clientAt(this.address), this.key === null);
    this.hub.follow(session, principal.roles.has('trade') ? principal.name : null);
  }

  private hello(ws: ServerWebSocket<unknown>, m: MessageOf<'hello'>, session: S): void {
    if (m.version !== VERSION) {
      this.refuse(null, fieldFault('hello.version', m.version, '1'));
      return this.end(ws, 'protocol-error');
    }
    // The log takes the name of a client once.
    if (this.client === null) this.hub.note(session.name, 'named', { client: m.client });
    this.client = m.client;
    if (m.key === null) return;
    const found = this.hub.keys.find(m.key, () => clientAt(this.address));
    if (!(found instanceof Promise)) return this.meet(ws, found);
    this.unproven = [];
    void found.then((checked) => {
      const behind = this.unproven!;
      this.unproven = null;
      this.meet(ws, checked);
      this.hub.clock.turns.run('frame', () => {
        for (const asked of behind) this.handle(asked);
      });
    });
  }

  private meet(ws: ServerWebSocket<unknown>, found: Principal | Fault): void {
    if (this.phase.is !== 'open') return;
    if ('code' in found) {
      this.refuse(null, { ...found, field: 'hello.key' });
      if (found.code !== 'limit-reached') return this.end(ws, 'unauthorized');
      return this.end(ws, 'limit-reached', FLOOD_RETRY_MS);
    }
    const full = found.name === this.principal.name ? undefined : this.tooMany(found);
    if (full === undefined) return this.become(found);
    this.refuse(null, full);
    this.end(ws, 'limit-reached', FLOOD_RETRY_MS);
  }

  private tooMany({ name }: Principal): Fault | undefined {
    if (!this.authority.isFull) return tooManyOfKey(this.hub.connections, this.hub.limits, name);
    return fault('limit-reached', `${FORMER_MAX} other keys were used on this connection already`);
  }

  become(principal: Principal): void {
    if (this.phase.is !== 'open') return;
    const before = this.key;
    this.identify(principal, this.phase.session);
    this.hub.connections.rekeyed(before, this.key);
  }

  private publish(m: MessageOf<'publish'>, { meter }: S, source: number): void {
    const refused = publishFault(this.principal, m);
    if (refused !== undefined) {
      this.offers.delete(m);
      return this.refuse(m.id, refused);
    }
    const bytes = eventBytes(m.events);
    if (!meter.take('publishes', bytes)) {
      this.offers.delete(m);
      return this.tell(
        m.id,
        fault('overloaded', `${bytes} bytes of events exceed what may wait now`),
      );
    }
    this.offers.add(m);
    this.hub.submit(source, meter.client, m, (result) => {
      meter.add('publishes', -bytes);
      this.offers.delete(m);
      if (this.phase.is !== 'open') return;
      const { session } = this.phase;
      if ('seq' in result) this.hub.acknowledge(session, ackOf(m.id, result.seq, result.intake));
      else this.tell(m.id, within(`publish.events[${result.index}]`, result.fault));
    });
  }

  private ack(id: number, seq: number): void {
    if (this.phase.is === 'open') this.phase.session.send([ackOf(id, seq)]);
  }

  private answer(id: number | null, refused: Fault | undefined): void {
    if (refused !== undefined) this.refuse(id, refused);
  }

  private refuse(id: number | null, f: Fault): void {
    if (this.phase.is !== 'open') return;
    this.faults += 1;
    // The message of the fault is not logged: it quotes what was sent, which may be a key in a wrong field.
    const { code, field } = f;
    if (this.faults === 1) this.hub.note(this.phase.session.name, 'refused', { code, field });
    this.tell(id, f);
    if (this.faults >= FAULTS_MAX && this.socket !== undefined) {
      this.end(this.socket, 'too-many-errors');
    }
  }

  /** Answers with a fault that does not count as an error of the client. */
  private tell(id: number | null, f: Fault): void {
    if (this.phase.is !== 'open') return;
    this.counts.refused(f.code);
    this.phase.session.send([errorOf(id, f)]);
  }

  /** Sends the reason, then closes the connection. */
  private end(ws: ServerWebSocket<unknown>, reason: CloseReason, retryMs = 0): void {
    if (this.phase.is !== 'open') return;
    const { code, reconnect } = CLOSES[reason];
    this.phase.session.send([{ type: 'closing', code, reason, reconnect, retryMs, url: null }]);
    this.leave({ code, reason });
    ws.close(code, reason);
  }
}

/** The id that the answer carries; null for a message without one. */
function idOf(m: Message): number | null {
  return 'id' in m ? m.id : null;
}
