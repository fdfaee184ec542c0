/** Requests: those that a reader has sent and that are not answered yet, and which topics they cover. */

import { topicOf } from '../../protocol/topics';
import type { Sequenced } from './truth';

export type Request =
  | { readonly kind: 'ping' | 'bad'; readonly id: number }
  | { readonly kind: 'replay'; readonly id: number; readonly action: string }
  | { readonly kind: 'unsubscribe'; readonly id: number; readonly names: ReadonlySet<string> }
  | TopicRequest;

export interface TopicRequest {
  readonly kind: 'subscribe' | 'resume';
  readonly id: number;
  readonly names: ReadonlySet<string>;
  /** Left again meanwhile. */
  readonly cut: Set<string>;
  /** Of a resume: the names that the server reset. */
  readonly reset: Set<string>;
  /** Of a resume: the position to resume from. */
  readonly position: number;
  /** Of a resume: the reason for which it must be reset. */
  readonly resetBy: string | null;
}

/** The wildcard that covers a topic together with others. */
export function starOf(topic: string): string {
  const parts = topic.split(':');
  if (parts.length > 1) parts[1] = '*';
  return parts.join(':');
}

export function covers(names: { has(name: string): boolean }, topic: string): boolean {
  return names.has(topic) || names.has(starOf(topic));
}

export function isTopicRequest(request: Request): request is TopicRequest {
  return request.kind === 'subscribe' || request.kind === 'resume';
}

/** Whether the request asks for a topic that the reader has not left since. */
export function asksFor(request: Request, topic: string): request is TopicRequest {
  return isTopicRequest(request) && covers(request.names, topic) && !covers(request.cut, topic);
}

/** Whether its answer brings the state of a topic. */
export function bringsState(request: TopicRequest, topic: string): boolean {
  return request.kind === 'subscribe' || covers(request.reset, topic);
}

export function topicOfSequenced(m: Sequenced): string {
  return topicOf(m)!;
}
