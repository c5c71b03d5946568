"""Generated scenes: images and facts for the embedded questions of the benchmarks."""

from objectives.scenes.render import place, render
from objectives.scenes.scene import COLORS, KINDS, LETTERS, SHAPES, SPLITS, WORDS, Scene, Thing, make_scene

__all__ = ["COLORS", "KINDS", "LETTERS", "SHAPES", "SPLITS", "WORDS", "Scene", "Thing", "make_scene", "place", "render"]
