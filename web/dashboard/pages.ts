// The pages, in the order of the menu.
import type { ComponentType } from 'preact'
import { Journeys } from './pages/journeys.tsx'
import { Now } from './pages/now.tsx'

export interface Page {
  /** Below /app. */
  path: string
  title: string
  View: ComponentType
  /** Whether it is about the days that the reader chooses. */
  hasDays?: boolean
}

export const PAGES: readonly Page[] = [
  { path: '', title: 'Now', View: Now, hasDays: true },
  { path: 'journeys', title: 'Journeys', View: Journeys, hasDays: true },
]
