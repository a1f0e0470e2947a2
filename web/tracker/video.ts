import type { Part, Properties } from './tracker.ts'
import { newId } from './ids.ts'

const HEARTBEAT_SECONDS = 10
/** A step of the position that is longer than playing can explain is a jump. */
const JUMP_SECONDS = 1.5
const MEDIA = ['play', 'playing', 'pause', 'seeked', 'ratechange', 'ended', 'timeupdate', 'waiting'] as const

interface Playing {
  viewingId: string
  source: string
  /** Where the stretch that is being watched began, which is not told yet. */
  from: number
  /** The last position seen. */
  at: number
}

/** The part that sees what is watched of `<video>`: stretches without a jump, told every 10 seconds and at each action. */
export const start: Part = (core) => {
  const known = new WeakMap<HTMLVideoElement, Playing>()
  const playing = new Set<HTMLVideoElement>()

  for (const name of MEDIA) {
    addEventListener(name, ({ target }) => target instanceof HTMLVideoElement && heard(name, target), { capture: true, passive: true })
  }
  const hidden = (): void => {
    if (document.visibilityState === 'hidden') playing.forEach((video) => tell('heartbeat', video, stateOf(video)))
  }
  addEventListener('visibilitychange', hidden, true)

  function heard(name: (typeof MEDIA)[number], video: HTMLVideoElement): void {
    if (video.closest('[data-journeymesh=ignore]')) return
    const state = stateOf(video)
    const jump = video.currentTime - state.at
    const hasJumped = jump < -0.25 || jump > JUMP_SECONDS * Math.max(1, video.playbackRate)
    if (name === 'seeked' || (name === 'timeupdate' && hasJumped)) {
      if (!hasJumped) return
      const before = state.at
      tell('seek', video, state, { seekFromSeconds: round(before) })
      return
    }
    if (name === 'timeupdate') {
      if (!video.seeking) state.at = video.currentTime
      if (state.at - state.from >= HEARTBEAT_SECONDS) tell('heartbeat', video, state)
      return
    }
    if (name === 'play') {
      playing.add(video)
      state.from = state.at = video.currentTime
      tell('play', video, state)
    } else if (name === 'pause') {
      playing.delete(video)
      if (!video.ended) tell('pause', video, state)
    } else if (name === 'ratechange') {
      if (playing.has(video)) tell('rate_change', video, state)
    } else if (name === 'ended') tell('ended', video, state)
    else if (name === 'waiting' && playing.has(video) && !video.seeking) tell('stall', video, state)
  }

  function stateOf(video: HTMLVideoElement): Playing {
    const state = known.get(video)
    if (state && state.source === video.currentSrc) return state
    const made = { viewingId: newId(), source: video.currentSrc, from: video.currentTime, at: video.currentTime }
    known.set(video, made)
    return made
  }

  /** Tells what was watched since it was told last; after a jump, up to where it began. */
  function tell(action: string, video: HTMLVideoElement, state: Playing, more: Properties = {}): void {
    const watched = Math.max(0, state.at - state.from)
    const isJump = action === 'seek'
    if (isJump && watched >= 0.1) record('heartbeat', video, state, state.at, watched, {})
    const position = video.currentTime
    record(action, video, state, position, isJump ? 0 : Math.max(watched, Math.min(position - state.from, watched + JUMP_SECONDS)), more)
    state.from = state.at = position
  }

  function record(action: string, video: HTMLVideoElement, state: Playing, position: number, watched: number, more: Properties): void {
    void core.record('video_playback', {
      action,
      videoId: video.dataset['name'] || video.id || new URL(state.source || location.href, location.href).pathname,
      viewingId: state.viewingId,
      positionSeconds: round(position),
      watchedSeconds: round(Math.max(0, watched)),
      durationSeconds: Number.isFinite(video.duration) ? round(video.duration) : undefined,
      playbackRate: video.playbackRate,
      ...more,
    })
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100
}
