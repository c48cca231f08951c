//! Tests of images as callers see them.
