/**
 * NATS broker: the batch log of one shard as a stream of NATS JetStream.
 *
 * What fences a deposed leader is the expected last sequence, together with one message in flight and a message id.
 * `Nats-Expected-Last-Msg-Id` would look like the better tool and must never be sent: one refusal froze streams of
 * three replicas for good (2.14.6 to 2.15.3).
 */

import type { JetStreamManager, MsgRequest } from '@nats-io/jetstream';
import { headers as newHeaders, type Msg, type NatsConnection } from '@nats-io/transport-node';

import type { Clock } from '../base/clock';
import {
  ok,
  unavailable,
  type Answer,
  type AppendResult,
  type CheckpointStore,
  type FollowHandlers,
  type LogBroker,
  type LogEnd,
  type LogInfo,
  type LogReplica,
  type Refusal,
  type StoredFrame,
} from './broker';
import { ClusterFault } from './cluster-fault';
import { natsPresence } from './nats-presence';
import { NatsCheckpoints } from './nats-checkpoints';
import { NatsLink } from './nats-link';
import { HEADER_BYTES_MAX, openStream } from './nats-open';
import { readRange, storedFrame, unsubscribe } from './nats-read';
import { settingsFault, type NatsSettings } from './nats-settings';
import { followSubjectOf, streamName, subjectOf } from './nats-stream';
import type { PresenceTransport } from './presence';
import { NatsWrites, publishesSubject, writesSubject, type WriteTransport } from './writes';

/** Larger messages make a broker slow for everybody; a larger batch is sent in parts. */
const MESSAGE_BYTES_MAX = 1024 * 1024;
const NANOS_A_MS = 1_000_000;

/** Error codes of JetStream for an append: that another message has the position, and that it is not known which. */
const WRONG_LAST_SEQUENCE = 10071;
const WRONG_LAST_SEQUENCE_UNKNOWN = 10164;
const REFUSALS: Readonly<Record<number, Refusal>> = {
  10060: 'wrong-stream',
  10054: 'too-large',
  10077: 'full', // the store refuses: maximum bytes or messages
  10047: 'full',
  10028: 'full',
  10023: 'full',
};

interface PubAck {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

export class NatsBroker implements LogBroker {
  readonly frameBytesMax: number;
  readonly checkpoints: CheckpointStore;
  /** Requests to the leader, over the same connection. */
  readonly writes: WriteTransport;
  /** The same for what sources publish. */
  readonly publishes: WriteTransport;
  readonly presence: PresenceTransport;
  private readonly link: NatsLink;
  private readonly jsm: JetStreamManager;
  private readonly stream: string;
  private readonly subject: string;
  private readonly followSubject: string;
  private readonly hubDomain: string;

  private constructor(
    nc: NatsConnection,
    jsm: JetStreamManager,
    settings: NatsSettings,
    clock: Clock,
  ) {
    this.link = new NatsLink(nc, clock, settings.requestMs);
    this.jsm = jsm;
    this.stream = streamName(settings.shard);
    this.subject = subjectOf(settings.shard);
    this.followSubject = followSubjectOf(settings.shard);
    this.hubDomain = settings.hubDomain;
    this.frameBytesMax = Math.min(this.link.payloadBytesMax, MESSAGE_BYTES_MAX) - HEADER_BYTES_MAX;
    this.checkpoints = new NatsCheckpoints(this.link, settings);
    const { shard } = settings;
    this.writes = new NatsWrites(this.link, (epoch) => writesSubject(shard, epoch));
    this.publishes = new NatsWrites(this.link, (epoch) => publishesSubject(shard, epoch));
    this.presence = natsPresence(this.link, settings.shard);
  }

  /** Connects, checks broker and stream, creates the stream where it may. */
  static async open(settings: NatsSettings, clock: Clock): Promise<NatsBroker | ClusterFault> {
    const wrong = settingsFault(settings);
    if (wrong !== undefined) return wrong;
    const opened = await openStream(settings, clock);
    if (opened instanceof ClusterFault) return opened;
    return new NatsBroker(opened.nc, opened.jsm, settings, clock);
  }

  get isConnected(): boolean {
    return this.link.isConnected;
  }

  async append(bytes: Uint8Array, id: string, expectedLast: number): Promise<AppendResult> {
    const { link } = this;
    if (link.isConnected && bytes.length + HEADER_BYTES_MAX > link.payloadBytesMax) {
      const message = `${bytes.length} bytes; the broker takes ${link.payloadBytesMax} with headers`;
      return { outcome: 'refused', reason: 'too-large', message };
    }
    const headers = newHeaders();
    headers.set('Nats-Msg-Id', id);
    headers.set('Nats-Expected-Stream', this.stream);
    headers.set('Nats-Expected-Last-Sequence', `${expectedLast}`);
    // A copy: the client keeps what it is handed until it has written it.
    const answer = await link.request(this.subject, bytes.slice(), headers);
    if (answer.outcome !== 'ok') return answer;
    const ack = parseAck(answer.value);
    if (ack.error === undefined) {
      if (typeof ack.seq !== 'number') return unavailable('an answer without a sequence');
      return { outcome: 'stored', sequence: ack.seq, isDuplicate: ack.duplicate === true };
    }
    const { err_code: code = 0, description = `error ${code}` } = ack.error;
    if (code === WRONG_LAST_SEQUENCE || code === WRONG_LAST_SEQUENCE_UNKNOWN) {
      return this.whoseIsIt(id, expectedLast);
    }
    const reason = REFUSALS[code];
    if (reason === undefined) return unavailable(description);
    return { outcome: 'refused', reason, message: description };
  }

  async last(): Promise<Answer<LogEnd>> {
    const last = await this.ofLeader({ last_by_subj: this.subject });
    if (last.outcome !== 'ok') return last;
    const frame = last.value;
    if (frame !== null) return ok({ sequence: frame.sequence, frame });
    const info = await this.info();
    if (info.outcome !== 'ok') return info;
    // What was stored since the first question is not passed over.
    if (info.value.frames > 0) return unavailable('the log has just got its first frame');
    return ok({ sequence: info.value.lastSequence, frame: null });
  }

  async read(from: number, framesMax: number, bytesMax: number): Promise<Answer<StoredFrame[]>> {
    const { link, stream, hubDomain } = this;
    const range = { seq: Math.max(1, from), batch: framesMax, max_bytes: bytesMax };
    const own = await readRange(link, stream, range);
    // A mirror may be behind for long, or out of service; the log itself is further away.
    const isDone = own.outcome === 'ok' && own.value.length > 0;
    return isDone || hubDomain === '' ? own : readRange(link, stream, range, hubDomain);
  }

  get(sequence: number): Promise<Answer<StoredFrame | null>> {
    return this.ofLeader({ seq: sequence });
  }

  follow(handlers: FollowHandlers): () => void {
    const { link } = this;
    const take = (message: Msg): void => {
      const frame = storedFrame(message);
      if (frame !== undefined) handlers.frame(frame);
    };
    const subscription = link.nc.subscribe(this.followSubject, {
      callback: (error, message) => {
        if (error !== null) return;
        try {
          link.clock.turns.run('cluster', () => take(message));
        } catch (e) {
          // The client would take it for a fault of the connection. It is one of this program, and ends it.
          queueMicrotask(() => {
            throw e;
          });
        }
      },
    });
    const stop = link.onReconnect(() => handlers.reconnected());
    return () => {
      stop();
      unsubscribe(link.nc, subscription);
    };
  }

  async info(): Promise<Answer<LogInfo>> {
    const answer = await this.link.ask(() => this.jsm.streams.info(this.stream));
    if (answer.outcome !== 'ok') return answer;
    const { state, config, cluster } = answer.value;
    const replicas: LogReplica[] = (cluster?.replicas ?? []).map((peer) => ({
      name: peer.name,
      isLeader: false,
      isCurrent: peer.current,
      lag: peer.lag ?? 0,
    }));
    if (cluster?.leader !== undefined && replicas.length > 0) {
      replicas.unshift({ name: cluster.leader, isLeader: true, isCurrent: true, lag: 0 });
    }
    return ok({
      firstSequence: state.messages === 0 ? state.last_seq + 1 : state.first_seq,
      lastSequence: state.last_seq,
      frames: state.messages,
      bytes: state.bytes,
      deleted: state.num_deleted ?? 0,
      bytesMax: config.max_bytes,
      ageMaxMs: config.max_age / NANOS_A_MS,
      replicasWanted: config.num_replicas,
      replicas,
    });
  }

  close(): Promise<void> {
    return this.link.close();
  }

  /** A frame by the API that the leader of the stream answers. */
  private async ofLeader(query: MsgRequest): Promise<Answer<StoredFrame | null>> {
    const { jsm, stream } = this;
    const answer = await this.link.ask(() => jsm.streams.getMessage(stream, query));
    if (answer.outcome !== 'ok') return answer;
    if (answer.value === null) return ok(null);
    const { seq: sequence, data, header } = answer.value;
    return ok({ sequence, id: header.get('Nats-Msg-Id'), bytes: data });
  }

  /**
   * Another frame than expected is the last one. It may be this very frame, stored by an earlier try: the broker looks
   * at the expectation before it looks for a repeated id.
   */
  private async whoseIsIt(id: string, expectedLast: number): Promise<AppendResult> {
    const end = await this.last();
    if (end.outcome !== 'ok') return end;
    const { sequence: last, frame } = end.value;
    if (last < expectedLast) {
      const message = `the log ends at ${last}; it had ${expectedLast}`;
      return { outcome: 'refused', reason: 'wrong-stream', message };
    }
    // Something is on its way into the log, perhaps this frame.
    if (last === expectedLast) return unavailable('the log does not yet say what follows');
    const sequence = expectedLast + 1;
    if (last === sequence && frame !== null) {
      return frame.id === id ? { outcome: 'stored', sequence, isDuplicate: true } : deposed(last);
    }
    const next = await this.get(sequence);
    if (next.outcome !== 'ok') return next;
    return next.value?.id === id
      ? { outcome: 'stored', sequence, isDuplicate: true }
      : deposed(last);
  }
}

function deposed(last: number): AppendResult {
  return { outcome: 'deposed', last };
}

function parseAck(data: Uint8Array): PubAck {
  try {
    return JSON.parse(new TextDecoder().decode(data)) as PubAck;
  } catch {
    return { error: { description: 'an answer that is not JSON' } };
  }
}
