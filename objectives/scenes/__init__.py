"""Generated scenes: the embedded source of images and facts for the benchmarks. A scene is a seed."""

from objectives.scenes.render import place, render
from objectives.scenes.scene import COLORS, KINDS, LETTERS, SHAPES, SPLITS, WORDS, Scene, Thing, make_scene

__all__ = ["COLORS", "KINDS", "LETTERS", "SHAPES", "SPLITS", "WORDS", "Scene", "Thing", "make_scene", "place", "render"]
