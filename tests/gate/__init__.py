"""Tests of the gate: its rules alone, and a real gate process between hostile neighbours."""
