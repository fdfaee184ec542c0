/** Observing: what watches a server asks. No key is needed. */

import { Type } from '@sinclair/typebox';

import { readyResponse, type Readiness } from '../../metrics/readiness';
import type { KeptAnswer } from '../kept-answers';
import { routesOf, type RouteGroup } from '../route';
import { count, time } from '../schemas';

export interface ObservingServices {
  readiness(): Readiness;
  /** The answer of `GET /metrics`. */
  readonly metricsText: KeptAnswer;
}

const ReadinessNote = Type.Object(
  {
    code: Type.String(),
    message: Type.String(),
    cause: Type.Optional(Type.String({ description: 'journal-failing: the kind of reason' })),
    hint: Type.Optional(Type.String({ description: 'What to do' })),
    count: Type.Optional(count('feed-stale: instruments that are silent')),
    feeds: Type.Optional(
      Type.Array(Type.Object({ symbol: Type.String(), since: time('Of its newest event') }), {
        description: 'feed-stale: some of them, the longest silent first',
      }),
    ),
  },
  { $id: 'ReadinessNote' },
);
const Ready = Type.Object(
  {
    ready: Type.Boolean(),
    reasons: Type.Optional(
      Type.Array(ReadinessNote, { description: 'Why the server is not ready' }),
    ),
    warnings: Type.Optional(
      Type.Array(ReadinessNote, {
        description: 'What somebody should look after; the server is ready all the same',
      }),
    ),
  },
  { $id: 'Ready' },
);

const { route, kept, raw } = routesOf<ObservingServices>();

export const OBSERVING: RouteGroup<ObservingServices> = {
  name: 'operation',
  description: 'Watching the server',
  routes: [
    route({
      id: 'getHealth',
      method: 'GET',
      path: '/healthz',
      summary: 'The process is alive',
      role: null,
      cost: 'memory',
      answer: {
        schema: Type.Object({ status: Type.Literal('ok') }, { $id: 'Health' }),
        example: { status: 'ok' },
      },
      errors: [],
      handle: () => '{"status":"ok"}',
    }),
    raw({
      id: 'getReadiness',
      method: 'GET',
      path: '/readyz',
      summary: 'Whether the server is ready; if not, 503 with the reasons',
      role: null,
      answer: { schema: Ready, example: { ready: true } },
      otherwise: {
        status: 503,
        summary: 'It is not ready, and why',
        schema: Ready,
        example: {
          ready: false,
          reasons: [
            { code: 'journal-failing', message: 'the journal cannot be written: disk full' },
          ],
        },
      },
      errors: [],
      respond: (_, services) => readyResponse(services.readiness()),
    }),
    kept({
      id: 'getMetrics',
      method: 'GET',
      path: '/metrics',
      summary: 'Figures of tiers, journal, sessions and process, for Prometheus',
      role: null,
      answer: { type: 'text/plain' },
      errors: [],
      kept: ({ metricsText }) => metricsText,
    }),
  ],
};
