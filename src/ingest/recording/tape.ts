/**
 * Tape: Tapedeck's own recording, one message a line in the JSON form of protocol/README.md.
 *
 * Instrument, trade, bbo and book lines are taken; other messages of the protocol, which a recorded
 * stream holds too, are made anew by the server and so are skipped and counted. A source may leave
 * out what the server fills in. A line without a receive time counts as received when it happened.
 * A venue on a tape is fed when it is played back: what came of its orders is there, they are not.
 */

import { fromJson, parseJson, SOURCE_OPTIONAL } from '../../../protocol/json';
import { toJsonText } from '../../../protocol/json-text';
import {
  messageByType,
  type Instrument,
  type Message,
  type SourceEvent,
} from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import type { ScalesOf } from '../../../protocol/units';
import { Definitions } from './definitions';
import type { Collector, Decoder } from './record';

const OPEN_BRACE = 123;

/** The line of a message, with its line feed. @throws Error when it names an unknown instrument */
export function tapeLine(message: Message, scalesOf: ScalesOf): string {
  return `${toJsonText(message, scalesOf)}\n`;
}

export class TapeDecoder implements Decoder {
  private readonly definitions: Definitions;
  /** The receive time of the newest line that has one. */
  private lastTime = Nanos.ZERO;

  constructor(definitions: Definitions) {
    this.definitions = definitions;
  }

  line(text: string, line: number, into: Collector): void {
    if (text.charCodeAt(0) !== OPEN_BRACE && text.trim() === '') {
      into.skip();
      return;
    }
    const parsed = parseJson(text);
    if (!('value' in parsed)) {
      into.fault(line, parsed);
      return;
    }
    if (isDerived(parsed.value)) {
      into.skip();
      return;
    }
    const message = fromJson(parsed.value, this.definitions.scalesOf, SOURCE_OPTIONAL);
    if ('type' in message) this.take(message as SourceEvent, line, into);
    else into.fault(line, message);
  }

  end(): void {
    // Nothing is held back.
  }

  private take(event: SourceEvent, line: number, into: Collector): void {
    if (event.type === 'instrument') {
      const fed: Instrument = { ...event, market: 'feed', rules: null };
      this.definitions.define(fed);
      into.record(line, this.lastTime, [fed]);
      return;
    }
    // Given as zero, it says no more than left out.
    if (event.receiveTime.compare(Nanos.ZERO) === 0) event.receiveTime = event.eventTime;
    this.lastTime = event.receiveTime;
    const definition = this.definitions.takeFirst(event.symbol);
    into.record(line, event.receiveTime, definition === undefined ? [event] : [definition, event]);
  }
}

/** Whether this is a message of the protocol that no source sends. */
export function isDerived(value: unknown): boolean {
  const type = (value as { type?: unknown } | null)?.type;
  switch (type) {
    case 'instrument':
    case 'trade':
    case 'bbo':
    case 'book':
    case 'renumber':
      return false;
    default:
      return typeof type === 'string' && messageByType(type) !== undefined;
  }
}
