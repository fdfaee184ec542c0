/** Instruments: what an operator does to them, and what sources bring in. */

import { Type } from '@sinclair/typebox';

import type { Fault } from '../../../../protocol/codes';
import { InstrumentSettingsSchema } from '../../../../protocol/instrument-settings';
import type { InstrumentAdministration } from '../../../base/contracts/core';
import type { Principal } from '../../auth/principal';
import { jsonMembers, tapeBody, type Pieces } from '../body';
import { symbol } from '../parameters';
import { routesOf, type RouteGroup } from '../route';
import {
  count,
  exampleDefinition,
  exampleOfMessage,
  Instrument,
  SYMBOL_ERRORS,
  WRITE_ERRORS,
} from '../schemas';

/** What an operator does to instruments. */
export interface Definer extends InstrumentAdministration {
  /** The instrument as a route answers with it. */
  instrument(symbol: string): string | Fault;
}

export interface InstrumentServices {
  readonly definer: Definer;
}

export interface IngestServices {
  /** Takes the lines of a tape; resolves when they are in the journal or refused. */
  ingest(who: Principal, pieces: Pieces, continues: boolean): Promise<object | Fault>;
}

/** What has a default may be left out. */
const InstrumentRequest = Type.Object(
  {
    ...Object.fromEntries(
      Object.entries(InstrumentSettingsSchema.properties).map(([name, schema]) => [
        name,
        'default' in schema ? Type.Optional(schema) : schema,
      ]),
    ),
    shard: Type.Optional(
      Type.String({ description: 'Shard of a new symbol; only at a server of several shards' }),
    ),
  },
  { $id: 'InstrumentRequest', additionalProperties: false },
);

const Renumbered = Type.Object(
  { symbol: Type.String(), seq: count('The newest sequence number, which has the effects') },
  { $id: 'Renumbered' },
);

const { route } = routesOf<InstrumentServices>();

export const INSTRUMENTS: RouteGroup<InstrumentServices> = {
  name: 'instruments',
  description: 'Defining and deleting instruments',
  routes: [
    route({
      id: 'defineInstrument',
      method: 'POST',
      path: '/v1/admin/instruments',
      summary:
        'Defines an instrument, as under `[[instruments]]`; answered when the journal has it',
      role: 'admin',
      cost: 'memory',
      body: jsonMembers(InstrumentRequest, {
        symbol: 'BARLEY',
        market: 'venue',
        priceScale: 2,
        quantityScale: 0,
        priceIncrement: '0.25',
        initialState: 'pre-open',
      }),
      answer: {
        status: 201,
        schema: Instrument,
        example: { ...exampleDefinition, ...exampleOfMessage('live') },
      },
      errors: [
        'definition-conflict',
        'too-many-instruments',
        'wrong-market',
        'shutting-down',
        ...WRITE_ERRORS,
      ],
      handle: async ({ body }, { definer }) => {
        const name = await definer.define(body);
        return typeof name === 'string' ? definer.instrument(name) : name;
      },
    }),
    route({
      id: 'renumberInstrument',
      method: 'POST',
      path: '/v1/admin/instruments/:symbol/renumber',
      summary: 'Starts the numbering of the source of a feed instrument again',
      role: 'admin',
      cost: 'memory',
      params: { symbol },
      answer: { schema: Renumbered, example: { symbol: 'FEED', seq: 1340023 } },
      errors: ['unknown-symbol', 'wrong-market', 'shutting-down', ...WRITE_ERRORS],
      handle: async ({ params }, { definer }) =>
        changed(params.symbol, await definer.renumber(params.symbol)),
    }),
    route({
      id: 'deleteInstrument',
      method: 'DELETE',
      path: '/v1/admin/instruments/:symbol',
      summary: 'Deletes a feed instrument; its past stays',
      role: 'admin',
      cost: 'memory',
      params: { symbol },
      answer: { schema: Renumbered, example: { symbol: 'FEED', seq: 1340024 } },
      errors: [
        'unknown-symbol',
        'wrong-market',
        'symbol-in-use',
        'limit-reached',
        'shutting-down',
        ...WRITE_ERRORS,
      ],
      handle: async ({ params }, { definer }) =>
        changed(params.symbol, await definer.delete(params.symbol)),
    }),
  ],
};

const ingest = routesOf<IngestServices>();

export const INGEST: RouteGroup<IngestServices> = {
  name: 'feeds',
  description: 'What sources bring in',
  routes: [
    ingest.route({
      id: 'ingest',
      method: 'POST',
      path: '/v1/ingest',
      summary: 'Takes the lines of a tape, all or none',
      role: 'publish',
      cost: 'memory',
      isTimed: true,
      query: {
        continues: Type.Boolean({
          description:
            'true: the numbers continue those that this source has sent before; false: a numbering that starts again is a new one',
          default: false,
          examples: [true],
        }),
      },
      body: tapeBody(
        '{"type":"trade","symbol":"DEMO","seq":1,"eventTime":"1700000000000000001","price":"10.01","quantity":"2","aggressor":"buy"}\n',
      ),
      answer: {
        schema: Type.Object(
          {
            seq: count('The newest sequence number of the events'),
            events: count('How many events were taken'),
            skipped: count('Lines that are no source events, such as ticks'),
            repeated: count('Events that were dropped, since the source had sent them before'),
            waiting: count('Events of a book that waits for a snapshot'),
          },
          { $id: 'Ingested' },
        ),
        example: { seq: 1340022, events: 1, skipped: 0, repeated: 0, waiting: 0 },
      },
      errors: [
        ...SYMBOL_ERRORS,
        'off-increment',
        'out-of-range',
        'symbol-in-use',
        'definition-conflict',
        'too-many-instruments',
        'wrong-market',
        ...WRITE_ERRORS,
      ],
      handle: async ({ who, query, body }, services) => {
        const result = await services.ingest(who, body, query.continues);
        return 'code' in result ? result : JSON.stringify(result);
      },
    }),
  ],
};

function changed(symbol: string, seq: number | Fault): string | Fault {
  return typeof seq === 'number' ? JSON.stringify({ symbol, seq }) : seq;
}
