/**
 * Relations: how limits must relate to each other, each with its reason. A server whose limits contradict each other
 * would start, and fail its readers later in a way that is hard to trace back.
 */

import { BUFFERED_BYTES_MAX, TEXT_FACTOR } from '../broadcast/sessions/session-limits';
import { RESUME_BARS_MAX } from '../broadcast/resume/bar-resume';
import { RESUMED_MESSAGES_MAX } from '../broadcast/subscriptions/subscriptions';
import type { Config, ConfiguredInstrument } from './schema';

/** A bound of one setting that follows from others. */
interface Relation {
  readonly setting: string;
  readonly value: (config: Config) => number;
  /** The lowest or highest value that it may have, and the reason. */
  readonly least?: (config: Config) => number;
  readonly most?: (config: Config) => number;
  readonly formula: string;
  readonly reason: string;
}

/** The answer itself, and a reset. */
const ANSWER_FRAME_MESSAGES = 2;
const ANSWER_MESSAGES = RESUMED_MESSAGES_MAX + RESUME_BARS_MAX + ANSWER_FRAME_MESSAGES;

export const RELATIONS: readonly Relation[] = [
  {
    setting: 'push.backlogBytesMax',
    value: ({ push }) => push.backlogBytesMax,
    least: ({ limits }) => 4 * limits.frameBytesMax,
    formula: '4 × limits.frameBytesMax',
    reason: 'what one frame of a source brings is sent to a reader in one turn, and longer as text',
  },
  {
    setting: 'push.backlogBytesMax',
    value: ({ push }) => push.backlogBytesMax,
    least: ({ push }) => BUFFERED_BYTES_MAX + TEXT_FACTOR * push.outboxBytesMax,
    formula: `${BUFFERED_BYTES_MAX} + ${TEXT_FACTOR} × push.outboxBytesMax`,
    reason:
      'a reader is behind with so many bytes in its socket, and a whole window as text, which is at most that, must fit on top, or it is cut off for having been helped',
  },
  {
    setting: 'push.lagMs',
    value: ({ push }) => push.lagMs,
    most: ({ push }) => push.pongMs - 1,
    formula: 'push.pongMs - 1',
    reason: 'a reader is to be known as slow, and helped, before it is cut off for the same pong',
  },
  {
    setting: 'push.lagMs',
    value: ({ push }) => push.lagMs,
    most: ({ push }) => push.controlMs - 1,
    formula: 'push.controlMs - 1',
    reason: 'an answer waits for a pong at least, which may take so long',
  },
  {
    setting: 'push.staleMs',
    value: ({ push }) => push.staleMs,
    most: ({ push }) => Math.min(push.pongMs, push.controlMs) - 1,
    formula: 'push.pongMs - 1 and push.controlMs - 1',
    reason: 'what waits is to be conflated before the reader is closed for not taking it',
  },
  {
    setting: 'push.heartbeatMs',
    value: ({ push }) => push.heartbeatMs,
    most: ({ push }) => push.pongMs,
    formula: 'push.pongMs',
    reason: 'the server must not give up a reader in less time than it leaves it without a sign',
  },
  {
    setting: 'push.controlMessagesMax',
    value: ({ push }) => push.controlMessagesMax,
    least: ({ limits }) => ANSWER_MESSAGES + 3 * limits.topicsMax,
    formula: `${ANSWER_MESSAGES} + 3 × limits.topicsMax`,
    reason:
      'the answer to one resume may be so long, with a definition, a gap and a state for each topic, and must not close the reader that asked',
  },
  {
    setting: 'limits.bodiesBytesMax',
    value: ({ limits }) => limits.bodiesBytesMax,
    least: ({ limits }) => limits.bodyBytesMax,
    formula: 'limits.bodyBytesMax',
    reason: 'one body of the largest size must fit',
  },
  {
    setting: 'limits.clientBytesPerClientMax',
    value: ({ limits }) => limits.clientBytesPerClientMax,
    least: ({ limits, push }) => Math.max(4 * limits.bodyBytesMax, push.backlogBytesMax),
    formula: '4 × limits.bodyBytesMax and push.backlogBytesMax',
    reason:
      'one body with its text and its events, and what one session may leave unread, must fit',
  },
  {
    setting: 'limits.clientBytesMax',
    value: ({ limits }) => limits.clientBytesMax,
    least: ({ limits }) => 2 * limits.clientBytesPerClientMax,
    formula: '2 × limits.clientBytesPerClientMax',
    reason: 'one client must leave room for the others',
  },
  {
    setting: 'limits.levelsPerKeyMax',
    value: ({ limits }) => limits.levelsPerKeyMax,
    most: ({ limits }) => limits.levelsMax,
    formula: 'limits.levelsMax',
    reason: 'one key cannot have more than all have together',
  },
  {
    setting: 'market.timeAheadMs',
    value: ({ market }) => market.timeAheadMs,
    most: ({ market }) => market.latenessMs - 1,
    formula: 'market.latenessMs - 1',
    reason:
      'a trade that is dated as far ahead as allowed must not make later trades late that are on time',
  },
  {
    setting: 'market.requestsHoldMs',
    value: ({ market }) => market.requestsHoldMs,
    most: ({ market }) => market.requestsIdleMs,
    formula: 'market.requestsIdleMs',
    reason: 'a source that is gone holds nothing any more',
  },
];

/** Why the settings contradict each other, including those of single instruments; undefined: they do not. */
export function contradiction(config: Config): string | undefined {
  const general = brokenRelation(config);
  if (general !== undefined) return general;
  for (const own of config.instruments) {
    if (own.latenessMs === undefined && own.timeAheadMs === undefined) continue;
    const broken = brokenRelation(withOwn(config, own));
    if (broken !== undefined) return `of the instrument ${own.symbol}, ${broken}`;
  }
  return undefined;
}

/** The settings that hold for one instrument. */
function withOwn(config: Config, own: ConfiguredInstrument): Config {
  const { market } = config;
  const { latenessMs = market.latenessMs, timeAheadMs = market.timeAheadMs } = own;
  return { ...config, market: { ...market, latenessMs, timeAheadMs } };
}

function brokenRelation(config: Config): string | undefined {
  for (const { setting, value, least, most, formula, reason } of RELATIONS) {
    const given = value(config);
    const [low, high] = [least?.(config) ?? -Infinity, most?.(config) ?? Infinity];
    if (given >= low && given <= high) continue;
    const bound = given < low ? `at least ${formula} (${low})` : `at most ${formula} (${high})`;
    return `${setting} is ${given}; expected ${bound}: ${reason}`;
  }
  return undefined;
}
