// The pages, in the order of the menu.
import type { ComponentType } from 'preact'
import { Customers } from './pages/customers.tsx'
import { Funnels } from './pages/funnels.tsx'
import { Help } from './pages/help.tsx'
import { Insights } from './pages/insights.tsx'
import { Journeys } from './pages/journeys.tsx'
import { Model } from './pages/model.tsx'
import { Now } from './pages/now.tsx'
import { Pipeline } from './pages/pipeline.tsx'
import { Retention } from './pages/retention.tsx'
import { Struggles } from './pages/struggles.tsx'
import { Videos } from './pages/videos.tsx'

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
  { path: 'funnels', title: 'Funnels', View: Funnels, hasDays: true },
  { path: 'retention', title: 'Retention', View: Retention, hasDays: true },
  { path: 'struggles', title: 'Struggles', View: Struggles, hasDays: true },
  { path: 'insights', title: 'Insights', View: Insights, hasDays: true },
  { path: 'customers', title: 'Customers', View: Customers },
  { path: 'help', title: 'Help', View: Help, hasDays: true },
  { path: 'videos', title: 'Videos', View: Videos, hasDays: true },
  { path: 'model', title: 'Model', View: Model, hasDays: true },
  { path: 'pipeline', title: 'Pipeline', View: Pipeline },
]
