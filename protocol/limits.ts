/**
 * Limits of `welcome`: the limits that a client has to respect, or must expect. Those after `heartbeatMs` can be nil: a
 * server of an earlier version does not send them.
 */

import { field } from './fields';

const COUNT_MAX = 0xffff_ffff;

const named = (max: number, description: string) => field.nullable(field.int(0, max, description));
const count = (description: string) => named(COUNT_MAX, description);

export const welcomeLimits = field.struct(
  {
    frameBytesMax: field.int(1, COUNT_MAX, 'Largest frame the server takes'),
    topicsMax: field.int(1, COUNT_MAX, 'Most topics of one session'),
    heartbeatMs: field.int(1, COUNT_MAX, 'Time between heartbeats'),
    // What a client sends.
    frameMessagesMax: count('Most messages of one frame to the server'),
    messagesPerSecond: count('Most messages that one connection may send in a second'),
    bytesPerSecond: named(Number.MAX_SAFE_INTEGER, 'Most bytes that it may send in a second'),
    publishBytesPerSecond: named(
      Number.MAX_SAFE_INTEGER,
      'The same of a connection whose key may publish',
    ),
    ordersPerSecond: count('Most orders, amendments and cancels of one key in a second'),
    errorsMax: count('After so many errors that count the connection is closed'),
    helloMs: count('A connection that needs a key and has presented none for so long is closed'),
    sessionsPerAddressMax: count('Most connections of one address'),
    sessionsPerKeyMax: count('Most connections of one key'),
    // How a slow reader is served, and when it is closed.
    pongMs: count('A connection whose pong is missing for so long is cut'),
    lagMs: count('A pong later than the quickest by more than this marks a slow session'),
    staleMs: count('Messages that have waited longer for a slow session are conflated'),
    tradeAgeMs: count('A trade that has waited longer for a slow session becomes a gap'),
    outboxBytesMax: count(
      'Most bytes of one topic that wait for slow sessions before they are conflated',
    ),
    controlMs: count('A session whose answers have waited for so long is closed'),
    controlMessagesMax: count('A session for which more answers wait is closed'),
    // What is answered from memory, and what from the journal.
    memoryEventsMax: count('The newest events that the server keeps in memory'),
    resumeEventsMax: count('A resume that goes further back is read from the journal'),
    heldRequestsMax: count('Most requests that may wait while a resume is answered'),
    playbacksMax: count('Most replays at once, and separately most resumes from the journal'),
    playbacksPerClientMax: count('The same of one key, or of one address without a key'),
    // How times are judged; an instrument can have other values.
    latenessMs: count('A trade further behind the present is late'),
    timeAheadMs: count('An `eventTime` further ahead of its receipt is impossible'),
    sessionBoundarySeconds: count('When a session ends, after midnight UTC'),
  },
  'What the server allows, as of this connection',
);
