/** Sessions: who is connected. */

import { Type, type TSchema } from '@sinclair/typebox';

import { limit, next } from '../parameters';
import { routesOf, type RouteGroup } from '../route';
import { count, EXAMPLE_TIME, literals, nextPage, nullable, time } from '../schemas';
import type { Sessions } from '../sessions';

export interface SessionServices {
  readonly sessions: Sessions;
}

const LISTED = 1_000;
const LISTED_MAX = 10_000;

const fields: Record<string, TSchema> = {
  name: Type.String({ description: 'As in the welcome message, and in the log' }),
  client: nullable(Type.String({ description: 'What the client calls itself' })),
  key: nullable(Type.String({ description: 'Name of its key' })),
  address: nullable(Type.String()),
  connectedAt: time('When it connected'),
  form: literals(['msgpack', 'json']),
  lane: literals(['express', 'lagging']),
  topics: count('Topics that it has subscribed to'),
  ageMs: count('How long it has been connected'),
  sentBytes: count('Bytes of frames sent to it, without the framing of WebSocket'),
  sentFrames: count('Such frames, except definitions that came while it was connected'),
  waitingBytes: count('About how many bytes wait to be sent'),
  lagMs: count('Age of the oldest waiting message'),
  rttMs: nullable(Type.Number({ description: 'From the newest ping to its pong' })),
  conflated: count('Messages that were replaced by a newer one'),
  dropped: count('Messages that a gap declared'),
  gaps: count('Such gaps'),
  lagged: count('Times that it left the express lane'),
  resets: count('Resets that it was sent'),
  receivedFrames: count('Frames received from it'),
  receivedBytes: count('Bytes of them'),
  receivedMessages: count('Messages in them'),
  refused: count('Messages that were answered with an error'),
};
const SessionListed = Type.Object(fields, { $id: 'SessionListed' });
const Session = Type.Object(
  {
    ...fields,
    topicNames: Type.Array(Type.String(), { description: 'Its topics, at most a thousand' }),
  },
  { $id: 'Session' },
);

const exampleSession = {
  name: 's17',
  client: 'tapedeck page',
  key: null,
  address: '127.0.0.1',
  connectedAt: EXAMPLE_TIME,
  ageMs: 93_500,
  form: 'msgpack',
  lane: 'express',
  topics: 40,
  sentBytes: 1_482_911,
  sentFrames: 18_220,
  waitingBytes: 0,
  lagMs: 0,
  rttMs: 0.412,
  conflated: 0,
  dropped: 0,
  gaps: 0,
  lagged: 0,
  resets: 0,
  receivedFrames: 3,
  receivedBytes: 210,
  receivedMessages: 3,
  refused: 0,
};

const name = Type.String({ description: 'Name of a session', examples: ['s17'] });

const { route } = routesOf<SessionServices>();

export const SESSIONS: RouteGroup<SessionServices> = {
  name: 'sessions',
  description: 'Who is connected',
  routes: [
    route({
      id: 'listSessions',
      method: 'GET',
      path: '/v1/admin/sessions',
      summary: 'Who is connected, the longest first',
      role: 'admin',
      cost: 'long',
      query: { limit: limit(LISTED, LISTED_MAX), next },
      answer: {
        schema: Type.Object(
          {
            total: count('All that are connected'),
            sessions: Type.Array(SessionListed),
            next: nextPage,
          },
          { $id: 'Sessions' },
        ),
        example: { total: 1, sessions: [exampleSession], next: null },
      },
      errors: [],
      handle: ({ query }, { sessions }) => sessions.list(query.limit, query.next),
    }),
    route({
      id: 'getSession',
      method: 'GET',
      path: '/v1/admin/sessions/:name',
      summary: 'One session, with its topics',
      role: 'admin',
      cost: 'memory',
      params: { name },
      answer: { schema: Session, example: { ...exampleSession, topicNames: ['book:ACME'] } },
      errors: ['unknown-session'],
      handle: ({ params }, { sessions }) => sessions.session(params.name),
    }),
    route({
      id: 'closeSession',
      method: 'DELETE',
      path: '/v1/admin/sessions/:name',
      summary: 'Closes a session with code 4004',
      role: 'admin',
      cost: 'memory',
      params: { name },
      answer: {
        schema: Type.Object(
          {
            name: Type.String(),
            code: Type.Integer(),
            reconnect: Type.Boolean(),
            reason: Type.String(),
          },
          { $id: 'SessionClosed' },
        ),
        example: { name: 's17', code: 4004, reconnect: false, reason: 'closed-by-operator' },
      },
      errors: ['unknown-session'],
      handle: ({ params }, { sessions }) => sessions.close(params.name),
    }),
  ],
};
