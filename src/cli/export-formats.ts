/**
 * Export formats: events as text, one or more lines for each event.
 *
 * ndjson is the JSON form of protocol/README.md, so `import` reads it as a tape; orders and snapshots,
 * which are not messages, have the same form. csv is RFC 4180 with a header; an event with levels has a row
 * for each level. Decimals and times are exact in both.
 */

import { CHANNEL_TABLE, isChannel, SOURCE_CHANNELS } from '../../protocol/channels';
import { formatLevels, toJson } from '../../protocol/json';
import { toJsonText } from '../../protocol/json-text';
import { messageByType, type Instrument, type MessageOf } from '../../protocol/messages';
import type { BatchEvent, Command, Snapshot } from '../../protocol/records';
import { formatDecimal, type Scales } from '../../protocol/units';
import type { Extracted, ExtractGap, ExtractKind } from '../journal/export/extract';
import { sentReason } from '../journal/history/gaps';

export interface Format {
  /** Text before all events. */
  readonly header: string;
  /** Whether the text contains gaps; otherwise they are reported on standard error. */
  readonly tellsGaps: boolean;
  text(event: Extracted): string;
}

/** Kinds that a source may send, so that `import` accepts them. */
const SOURCE_KINDS: ReadonlySet<ExtractKind> = new Set(SOURCE_CHANNELS);
const OPENING = ['symbol', 'seq', 'eventTime', 'receiveTime'];
const LEVEL = ['side', 'price', 'quantity'];
const COLUMNS: Record<'command' | 'snapshot' | 'book', readonly string[]> = {
  command: [
    ...OPENING,
    'action',
    'owner',
    'clientOrderId',
    'orderId',
    'side',
    'kind',
    'timeInForce',
    'postOnly',
    'price',
    'quantity',
    'state',
  ],
  snapshot: [...OPENING, 'crc', ...LEVEL],
  book: ['symbol', 'seq', 'prevSeq', 'eventTime', 'receiveTime', 'form', 'crc', 'mark', ...LEVEL],
};

type Values = Readonly<Record<string, unknown>>;

export function ndjsonFormat(kind: ExtractKind, symbol: string): Format {
  const scales = new NewestScales();
  return {
    header: '',
    tellsGaps: true,
    text: (event) => {
      if (event.type === 'gap') return `${JSON.stringify(gapJson(event, kind, symbol))}\n`;
      if (event.type !== 'instrument') return `${scales.text(event)}\n`;
      scales.newest = event;
      // An import of a venue's results makes a feed instrument, which matches no orders.
      const definition: Instrument = SOURCE_KINDS.has(kind)
        ? { ...event, market: 'feed', rules: null }
        : event;
      return `${scales.text(definition)}\n`;
    },
  };
}

export function csvFormat(kind: ExtractKind): Format {
  const scales = new NewestScales();
  const columns =
    kind === 'command' || kind === 'snapshot' || kind === 'book'
      ? COLUMNS[kind]
      : messageByType(kind)!.names;
  return {
    header: csvRow(columns),
    tellsGaps: false,
    text: (event) => {
      if (event.type === 'gap') return '';
      if (event.type !== 'instrument') {
        return csvRows(scales.json(event))
          .map((row) => csvRow(columns.map((name) => row[name])))
          .join('');
      }
      scales.newest = event;
      return '';
    },
  };
}

/** The JSON form, with the scales of the latest definition in the stream. */
class NewestScales {
  newest: Instrument | undefined;

  json(event: BatchEvent): Values {
    return isMessage(event) ? toJson(event, () => this.newest) : this.own(event);
  }

  text(event: BatchEvent): string {
    return isMessage(event)
      ? toJsonText(event, () => this.newest)
      : JSON.stringify(this.own(event));
  }

  private own(event: Snapshot | Command): Values {
    return event.type === 'snapshot'
      ? snapshotJson(event, this.newest!)
      : commandJson(event, this.newest!);
  }
}

function isMessage(event: BatchEvent): event is Exclude<BatchEvent, Snapshot | Command> {
  return event.type !== 'snapshot' && event.type !== 'command';
}

/** Leaves out the time by which the journal orders the record: it is internal. */
function snapshotJson(snapshot: Snapshot, scales: Scales): Values {
  const { asOf: _, ...s } = snapshot;
  const bids = formatLevels(s.bids, scales);
  return {
    ...s,
    eventTime: s.eventTime.toString(),
    receiveTime: s.receiveTime.toString(),
    bids,
    asks: formatLevels(s.asks, scales),
  };
}

/** The number of exported records among these sequence numbers is unknown: at most all of them. */
function gapJson(
  { from, to, reason }: ExtractGap,
  kind: ExtractKind,
  symbol: string,
): MessageOf<'gap'> {
  const isOfAll = isChannel(kind) && CHANNEL_TABLE[kind].topic === 'all';
  const topic = isOfAll ? kind : `${kind}:${symbol}`;
  return {
    type: 'gap',
    topic,
    from,
    to,
    count: to - from + 1,
    reason: sentReason(reason),
    shard: null,
  };
}

/** A price of 0 means no price; only new and amended orders have a quantity. */
function commandJson(c: Command, scales: Scales): Values {
  const isOrder = c.action === 'submit' || c.action === 'amend';
  return {
    type: 'command',
    symbol: c.symbol,
    seq: c.seq,
    eventTime: c.eventTime.toString(),
    receiveTime: c.receiveTime.toString(),
    action: c.action,
    owner: c.owner,
    clientOrderId: c.clientOrderId,
    orderId: c.orderId,
    side: c.side,
    kind: c.kind,
    timeInForce: c.timeInForce,
    postOnly: c.postOnly,
    price: isOrder && c.price !== 0 ? formatDecimal(c.price, scales.priceScale) : null,
    quantity: isOrder ? formatDecimal(c.quantity, scales.quantityScale) : null,
    state: c.state,
  };
}

/** One row; for an event with levels one row for each, bids first, or one row without a level if there is none. */
function csvRows(json: Values): readonly Values[] {
  if (!Array.isArray(json['bids'])) return [json];
  const rows: Values[] = [];
  for (const side of ['bid', 'ask']) {
    for (const [price, quantity] of json[`${side}s`] as [string, string][]) {
      rows.push({ ...json, side, price, quantity });
    }
  }
  return rows.length > 0 ? rows : [json];
}

function csvRow(values: readonly unknown[]): string {
  return `${values.map(csvField).join(',')}\r\n`;
}

/** RFC 4180: quoted if necessary, a quote doubled; null is empty. */
function csvField(value: unknown): string {
  const text = value === null || value === undefined ? '' : `${value as string | number | boolean}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
