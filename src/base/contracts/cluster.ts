/** Cluster: what a server knows of the cluster that it belongs to. */

import type { Durations } from '../durations';

export const MEMBER_STATES = ['following', 'taking-over', 'leading', 'lost', 'stopped'] as const;
/** `lost`: it has to begin again, with what the cluster has. */
export type MemberState = (typeof MEMBER_STATES)[number];
export const MEMBER_ROLES = ['leader', 'standby', 'edge'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

/** What a member announces of itself. */
export interface MemberReport {
  /** Names this process among all members, ever. */
  readonly instance: string;
  readonly name: string;
  readonly role: MemberRole;
  readonly state: MemberState;
  /** Where clients reach it; empty: it does not say. */
  readonly url: string;
  readonly version: string;
  /** Its newest event. */
  readonly epoch: number;
  readonly seq: number;
  /** For how long it has known that it lacks events; 0: it lacks none. */
  readonly behindMs: number;
}

/** A member as another one knows it. */
export interface KnownMember extends MemberReport {
  /** Since its newest announcement. */
  readonly silentMs: number;
  /** It has announced nothing for several seconds. */
  readonly isAway: boolean;
}

/** This server's end of the batch log. Durations are in ms. */
export interface ClusterLogFigures {
  /** To the broker. */
  readonly isConnected: boolean;
  /** See `MemberReport`; of the leader: how long its oldest event has waited for the log. */
  readonly behindMs: number;
  /** Since the newest frame of the log; of the leader: since it appended one. */
  readonly silentMs: number;
  /** Of the leader: events that the log does not have, and bytes that wait for it. */
  readonly unlogged: number;
  readonly queuedBytes: number;
  /** How often this process has taken over. */
  readonly takeovers: number;
  readonly checkpoints: number;
  readonly framesWritten: number;
  readonly framesRead: number;
  /** Appends that had to be sent again, and those that the broker did not take. */
  readonly resends: number;
  readonly failures: number;
  /** How often frames were missing and were read again; how often nobody had them. */
  readonly repairs: number;
  readonly holes: number;
  /** Frames of replaced leaders, and frames with wrong bytes. */
  readonly voided: number;
  readonly damaged: number;
  /** Of the leader: from an append to its answer; null: it never led. */
  readonly appends: Durations | null;
}

/** What sources publish at members that do not lead; counts since the start of the process. */
export interface ClusterPublishFigures {
  /** Here, before it leads: events without an outcome, and publishes by their outcomes. */
  readonly waiting: number;
  readonly taken: number;
  readonly refused: number;
  readonly unknown: number;
  /** As the leader: sources of other members, entries of their streams, and messages that came again. */
  readonly remoteSources: number;
  readonly remoteEntries: number;
  readonly remoteRepeated: number;
  /** Members whose sources were released after their silence. */
  readonly remoteExpired: number;
}

export interface ClusterStatus {
  /** Of the cluster. */
  readonly name: string;
  /** Null: the cluster has one numbering without a name. */
  readonly shard: string | null;
  readonly self: MemberReport;
  /** All that are known, with this one, by name. */
  readonly members: readonly KnownMember[];
  readonly log: ClusterLogFigures;
  readonly publishes: ClusterPublishFigures;
}
