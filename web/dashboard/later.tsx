// Views that are loaded when they are asked for.
import type { ComponentType } from 'preact'
import { useEffect, useState } from 'preact/hooks'

/** A view that is fetched when it is shown first. */
export function later(load: () => Promise<ComponentType>): ComponentType {
  return function Later() {
    const [found, setFound] = useState<{ View?: ComponentType; problem?: string }>({})
    useEffect(() => {
      load().then(
        (View) => setFound({ View }),
        () => setFound({ problem: 'This page could not be loaded. Load it again.' }),
      )
    }, [])
    if (found.problem) return <p class="note" role="alert">{found.problem}</p>
    return found.View ? <found.View /> : <p class="waiting" role="status">Loading…</p>
  }
}
