/**
 * Cluster view: who leads and who lags, where the server belongs to a cluster. It is asked for every two seconds while
 * the page is visible; a server that belongs to none is asked once a connection.
 */

import { fetchCluster, type RestCluster, type RestClusterMember } from '../../client/index';
import { make } from './dom';
import { duration } from './format';
import type { TabKey } from './tab-key';

const EVERY_MS = 2_000;
/** A member that has lacked events for less is not displayed as one that lags. */
const LAG_MS = 500;

export class ClusterView {
  private readonly root: HTMLElement;
  private readonly url: string;
  private readonly key: TabKey;
  private askedAtMs = -Infinity;
  private isAlone = false;
  private text = '';

  constructor(root: HTMLElement, url: string, key: TabKey) {
    this.root = root;
    this.url = url;
    this.key = key;
  }

  /** There is a connection: this may be another server than before. */
  connected(): void {
    this.isAlone = false;
    this.askedAtMs = -Infinity;
  }

  /** To be called often while there is a connection. */
  look(nowMs: number): void {
    if (this.isAlone || document.hidden || nowMs - this.askedAtMs < EVERY_MS) return;
    this.askedAtMs = nowMs;
    fetchCluster(this.url, this.key.value).then(
      (cluster) => this.show(cluster),
      () => {}, // the state of the link reports what is wrong
    );
  }

  private show(cluster: RestCluster): void {
    const { name, leader, members, shards = [] } = cluster;
    this.isAlone = name === null;
    this.root.hidden = name === null;
    const text = JSON.stringify([name, leader, shards, members.map(stateOf)]);
    if (name === null || text === this.text) return;
    this.text = text;
    const title = make('span', 'cluster-name', 'cluster ', make('b', '', name));
    const states = leaderless(leader, shards).map((what) => make('span', 'bad', what));
    this.root.replaceChildren(title, ...states, ...members.map(memberOf));
  }
}

/** @param leader of a cluster without shards */
function leaderless(
  leader: string | null,
  shards: NonNullable<RestCluster['shards']>,
): readonly string[] {
  if (shards.length === 0) return leader === null ? ['nobody leads'] : [];
  return shards.flatMap((one) => (one.leader === null ? `nobody leads ${one.shard}` : []));
}

function memberOf(member: RestClusterMember): HTMLElement {
  const { shard, name, role, seq, version, url, isSelf } = member;
  const [text, mood] = stateOf(member);
  const element = make('span', `member ${mood}`, make('b', '', name), ` ${text}`);
  if (shard != null) element.append(` ${shard}`);
  if (isSelf) element.append(', this server');
  element.title = `${role}, at ${seq}, version ${version}${url === null ? '' : `, ${url}`}`;
  return element;
}

function stateOf({ state, isAway, silentMs, behindMs, name }: RestClusterMember) {
  const lag = behindMs >= LAG_MS ? duration(behindMs) : '';
  if (isAway) return [`away for ${duration(silentMs)}`, 'bad', name] as const;
  if (state === 'lost') return ['begins again', 'bad', name] as const;
  if (state === 'leading' && lag !== '') return [`leads, log ${lag} behind`, 'bad', name] as const;
  if (state === 'leading') return ['leads', 'leading', name] as const;
  if (state === 'taking-over') return ['takes over', '', name] as const;
  return lag === '' ? (['follows', '', name] as const) : ([`${lag} behind`, 'bad', name] as const);
}
