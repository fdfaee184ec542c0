/** Welcome limits: the limits that `welcome` states to a client: settings, and bounds that are no settings. */

import { FRAME_MESSAGES_MAX } from '../../protocol/codec';
import type { MessageOf } from '../../protocol/messages';
import { RESUMED_MESSAGES_MAX } from '../broadcast/subscriptions/subscriptions';
import type { Config } from '../config/config';
import { HELD_MAX } from '../gateway/ws/ordered-requests';
import { FAULTS_MAX } from '../gateway/ws/stream';
import type { Limits } from './reload';

/** @param limits the present ones, which a reload changes */
export function welcomeLimits(
  { push, cache, market }: Config,
  limits: Limits,
): MessageOf<'welcome'>['limits'] {
  return {
    frameBytesMax: limits.frameBytesMax,
    topicsMax: limits.topicsMax,
    heartbeatMs: push.heartbeatMs,
    frameMessagesMax: FRAME_MESSAGES_MAX,
    messagesPerSecond: limits.messagesPerSecond,
    bytesPerSecond: limits.bytesPerSecond,
    publishBytesPerSecond: limits.publishBytesPerSecond,
    ordersPerSecond: limits.ordersPerSecond,
    errorsMax: FAULTS_MAX,
    helloMs: limits.helloMs,
    sessionsPerAddressMax: limits.sessionsPerAddressMax,
    sessionsPerKeyMax: limits.sessionsPerKeyMax,
    pongMs: push.pongMs,
    lagMs: push.lagMs,
    staleMs: push.staleMs,
    tradeAgeMs: push.tradeAgeMs,
    outboxBytesMax: push.outboxBytesMax,
    controlMs: push.controlMs,
    controlMessagesMax: push.controlMessagesMax,
    memoryEventsMax: cache.memtableEventsMax,
    resumeEventsMax: RESUMED_MESSAGES_MAX,
    heldRequestsMax: HELD_MAX,
    playbacksMax: limits.playbacksMax,
    playbacksPerClientMax: limits.playbacksPerClientMax,
    latenessMs: market.latenessMs,
    timeAheadMs: market.timeAheadMs,
    sessionBoundarySeconds: market.sessionBoundary,
  };
}
